/*  tidemark.js - see docs/browser.md. SPDX-License-Identifier: MIT */

// Sessions that outlive a reload, and live maps of what stands, for pages with a stock
// socket.io-client, 4.6 or later. Served without comments and margins, in less than 4 kB
// (share.cmake).

const quietly = (what) => { try { return what(); } catch {} };

/**
 * Keeps a socket's session across reloads of the tab: socket.id, the topics joined, and the
 * position from which reading goes on. As after any reconnect, socket.recovered says whether it is
 * the same session, so that what was missed arrives, or a new one.
 *
 * Call it right behind io(), before there is a connection: later it does nothing.
 *
 * @param socket   of socket.io-client
 * @param {string} name   tells apart several sockets of a page to one server and namespace
 * @returns the socket
 */
export function resume(socket, name = "") {
    const { io, nsp, packet, onconnect } = socket;
    const slot = `tidemark ${new URL(io.uri, location).origin}${io.opts.path} ${nsp} ${name}`;
    const store = quietly(() => sessionStorage) ?? {};
    // A page takes its entry out of storage and puts it back when it ends: a tab that is duplicated
    // meanwhile copies none, so that two pages don't take one session from each other for ever.
    const take = () => { const entry = store[slot]; delete store[slot]; return entry; };
    if (socket.connected)
        return socket;
    let recovered, kept, [pid, offset] = quietly(() => JSON.parse(take())) ?? [];
    // The client keeps pid and offset by itself, but under names that its minified builds change.
    // So they are kept here as well, and go over the client's into each CONNECT (packet type 0).
    socket.packet = (what) => {
        if (!what.type)
            what.data = { ...what.data, pid, offset };
        packet.call(socket, what);
    };
    socket.onconnect = (sid, given) => {
        recovered = !!given && given === pid;
        if (!recovered)
            [pid, offset] = [given];
        onconnect.call(socket, sid, given);
    };
    Object.defineProperty(socket, "recovered", { get: () => recovered, set() {} });
    socket.onAny((event, ...args) => typeof args.at(-1) === "string" && (offset = args.at(-1)));

    const renew = () => {
        pid = offset = null;
        if (io.engine?.readyState === "open")
            io.engine.close();
    };
    // Copies of an entry can still meet: a tab duplicated between two pages of ours has one. Each
    // connection says aloud which session it has; who hears its own from another page, gives way.
    const pages = quietly(() => new BroadcastChannel("tidemark")) ?? {};
    pages.onmessage = ({ data }) => data && data === pid && renew();
    socket.on("connect", () => pages.postMessage?.(pid));

    addEventListener("pagehide", () => {
        store[slot] = kept = JSON.stringify([pid, offset, Math.random()]);
    });
    // Back from the browser's cache: the session is still ours if nobody took the entry.
    addEventListener("pageshow", ({ persisted }) => persisted && take() !== kept && renew());
    return socket;
}

/**
 * What stands in a topic, as a Map that stays right: from key to event, as in
 * lamps.get("hall").data. It joins the topic and, after a reconnect or reset, goes on or begins
 * anew as need be. Of a subtree ("house/#") a key is "topic#key". To be read, not written.
 *
 * Beside what a Map has: ready, a promise of the map once it is filled; seq and epoch, the position
 * up to which it is right; error, why it is not filled (it is tried again), or null; close(), which
 * leaves the topic.
 *
 * @param socket   of socket.io-client, connected or not
 * @param {string} topic
 * @param {(key?: string, event?: object) => void} onchange   called after each change; without
 *        arguments where everything is new, or an error is. A removed key's event has removed: true
 * @returns {Map<string, object>}
 */
export function liveMap(socket, topic, onchange = () => {}) {
    const map = new Map(), isTree = topic.endsWith("#");
    // Events that came ahead of the state that is asked for; null once that is here.
    let held = [], settle;
    const tell = (...what) => queueMicrotask(() => onchange(...what));
    const put = (event) => {
        const key = isTree ? `${event.topic}#${event.key}` : event.key;
        event.removed ? map.delete(key) : map.set(key, event);
        return key;
    };
    const apply = (event) => {
        if (event.seq <= map.seq)
            return;
        map.seq = event.seq;
        if (event.key)
            tell(put(event), event);
    };
    const replace = ({ seq, epoch, state }) => {
        const later = held;
        held = null;
        map.clear();
        Object.values(state).flatMap((one) => isTree ? Object.values(one) : one).forEach(put);
        settle(Object.assign(map, { seq, epoch, error: null }));
        tell();
        later?.forEach(apply);
    };
    const ask = (what) => socket.emitWithAck(what, { topic, meta: true }).catch((error) => error);
    // First joined, then the state at a sequence behind that: a subscription since "snapshot" would
    // cut short what is on its way to other listeners of the topic, as after a reload.
    const load = async () => {
        const mine = held = [];
        let answer = await ask("tide:subscribe");
        if (answer.ok)
            answer = await ask("tide:snapshot");
        if (mine !== held)
            return;
        if (answer.ok)
            return replace(answer);
        map.error = answer;
        tell();
        setTimeout(() => mine === held && socket.connected && load(), 1000);
    };
    const hear = (name, ...args) => {
        if (name === "tide:reset" && args[0].topic === topic)
            return replace(args[0]);
        // The arguments, then meta, then the client's position, which is a string.
        if (typeof args.at(-1) === "string")
            args.pop();
        const meta = args.pop() ?? {}, at = meta.topic;
        const event = { ...meta, event: name, ...args.length > 1 ? { args } : { data: args[0] } };
        if (meta.seq && (isTree ? `${at}/`.startsWith(topic.slice(0, -1)) : at === topic))
            held ? held.push(event) : apply(event);
    };
    const connected = () => (held || !socket.recovered) && load();
    map.ready = new Promise((done) => (settle = done));
    map.close = () => {
        held = null;
        socket.offAny(hear).off("connect", connected).emit("tide:unsubscribe", { topic });
    };
    socket.onAny(hear).on("connect", connected);
    if (socket.connected)
        load();
    return map;
}
