// The page's helper without a browser: what resume() keeps and when, and what a live map makes of
// snapshot, updates, resets and reconnects in any order that the gateway allows.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

/* -- a page without a browser ----------------------------------------------------------------- */

const channels = new Set();

class Channel {
    constructor() {
        channels.add(this);
    }

    postMessage(data) {
        for (const channel of channels)
            if (channel !== this)
                channel.onmessage?.({ data });
    }
}

let pageListeners;

function newPage({ storage = {} } = {}) {
    pageListeners = [];
    const listeners = pageListeners;
    Object.defineProperty(globalThis, "sessionStorage", {
        configurable: true, get: typeof storage === "function" ? storage : () => storage
    });
    globalThis.location = "http://here.example/board/";
    globalThis.BroadcastChannel = Channel;
    globalThis.addEventListener = (type, listener) => listeners.push([type, listener]);
    return (type, event = {}) => listeners.forEach(([name, listener]) => name === type && listener(event));
}

newPage();
const SOURCE = new URL("../../../gateway/page/tidemark.js", import.meta.url);
const { liveMap, resume } = await import(SOURCE);

let madePids = 0;

class FakeSocket {
    connected = false;
    recovered = false;
    listeners = [];
    any = [];
    asked = [];
    sent = [];
    packets = [];
    closed = 0;

    constructor({ uri = "http://here.example", path = "/socket.io", nsp = "/" } = {}) {
        this.nsp = nsp;
        this.io = { uri, opts: { path }, engine: { readyState: "opening", close: () => { this.closed++; } } };
    }

    /* As the client's own, as far as resume() takes their place. */
    packet(packet) {
        this.packets.push(packet);
    }

    onconnect(sid, pid) {
        this.id = sid;
        this.recovered = false;
        this.connected = true;
        this.tellConnected();
    }

    /* CONNECT goes out, and a gateway answers that knows these sessions. Returns what it was asked. */
    meet(...known) {
        this.io.engine.readyState = "open";
        this.packet({ type: 0, data: { token: "own" } });
        const { pid, offset, token } = this.packets.at(-1).data;
        assert.equal(token, "own");
        this.onconnect("sid", known.includes(pid) ? pid : `new ${++madePids}`);
        return [pid ?? null, offset ?? null];
    }

    on(name, listener) {
        this.listeners.push([name, listener]);
        return this;
    }

    off(name, listener) {
        this.listeners = this.listeners.filter((one) => one[0] !== name || one[1] !== listener);
        return this;
    }

    onAny(listener) {
        this.any.push(listener);
        return this;
    }

    offAny(listener) {
        this.any = this.any.filter((one) => one !== listener);
        return this;
    }

    emit(name, request) {
        this.sent.push([name, request]);
        return this;
    }

    emitWithAck(name, request) {
        return new Promise((resolve, reject) => { this.asked.push({ name, request, resolve, reject }); });
    }

    connect(recovered = false) {
        Object.assign(this, { connected: true, recovered });
        this.tellConnected();
    }

    tellConnected() {
        this.listeners.forEach(([name, listener]) => name === "connect" && listener());
    }

    disconnect() {
        this.connected = false;
        this.io.engine.readyState = "closed";
    }

    /* The oldest question that is open is answered; it has to be this one. */
    async answer(name, answer) {
        const question = this.asked.shift();
        assert.equal(question?.name, name);
        if (answer instanceof Error)
            question.reject(answer);
        else
            question.resolve({ ok: true, ...answer });
        await settled();
        return question.request;
    }

    arrive(name, ...args) {
        this.any.slice().forEach((listener) => listener(name, ...args));
    }

    /* An event with its meta, and with the client's position behind it. */
    event({ topic = "lamps", seq, key, data = null, ...more }) {
        this.arrive("set", data, { topic, seq, key, time: 1, ...more }, `e:${seq}`);
    }
}

const settled = () => new Promise((resolve) => { setImmediate(resolve); });
const standing = (...events) => Object.fromEntries(events.map(([key, seq, data]) =>
    [key, { topic: "lamps", seq, event: "set", key, time: 1, data }]));
const shown = (map) => Object.fromEntries([...map].map(([key, event]) => [key, event.data]).sort());

async function loaded(seq, state, topic = "lamps") {
    const socket = new FakeSocket(), changes = [];
    const map = liveMap(socket, topic, (key, event) => changes.push(key ?? "all", ...event ? [event.seq] : []));
    socket.connect();
    await socket.answer("tide:subscribe", { topic, epoch: "e", seq });
    await socket.answer("tide:snapshot", { epoch: "e", seq, state });
    return { socket, map, changes };
}

/* -- live map --------------------------------------------------------------------------------- */

test("a live map is filled from the snapshot and follows sets and removals", async () => {
    const { socket, map, changes } = await loaded(10, standing(["hall", 3, 1], ["porch", 7, 2]));
    assert.equal(await map.ready, map);
    assert.deepEqual([shown(map), map.seq, map.epoch, map.size], [{ hall: 1, porch: 2 }, 10, "e", 2]);
    socket.event({ seq: 11, key: "hall", data: 5, from: "someone" });
    socket.event({ seq: 12, key: "porch", removed: true });
    socket.event({ seq: 13, key: "attic", data: { on: true } });
    socket.event({ seq: 14, data: "no key" });
    await settled();
    assert.deepEqual([shown(map), map.seq], [{ attic: { on: true }, hall: 5 }, 14]);
    assert.deepEqual(map.get("hall"), { topic: "lamps", seq: 11, event: "set", key: "hall", time: 1, from: "someone", data: 5 });
    assert.deepEqual(changes, ["all", "hall", 11, "porch", 12, "attic", 13]);
});

test("g1_a_live_map_applies_nothing_twice_and_nothing_out_of_order", async () => {
    const { socket, map } = await loaded(10, standing(["hall", 10, 1]));
    for (const [seq, data] of [[10, "old"], [9, "older"], [12, "new"], [12, "again"], [11, "late"]])
        socket.event({ seq, key: "hall", data });
    assert.deepEqual([shown(map), map.seq], [{ hall: "new" }, 12]);
});

test("g5_what_comes_ahead_of_the_state_is_applied_behind_it", async () => {
    const socket = new FakeSocket();
    const map = liveMap(socket, "lamps");
    socket.connect();
    const request = await socket.answer("tide:subscribe", { epoch: "e", seq: 10 });
    assert.deepEqual(request, { topic: "lamps", meta: true });
    socket.event({ seq: 11, key: "hall", data: "in the snapshot already" });
    socket.event({ seq: 13, key: "porch", data: "behind it" });
    assert.equal(map.size, 0);
    await socket.answer("tide:snapshot", { epoch: "e", seq: 12, state: standing(["hall", 12, 12]) });
    assert.deepEqual([shown(map), map.seq], [{ hall: 12, porch: "behind it" }, 13]);
});

test("events of other topics, without meta, volatile ones and those that want an answer are not the map's", async () => {
    const { socket, map } = await loaded(10, {});
    socket.event({ topic: "lamps/hall", seq: 11, key: "a", data: 1 });
    socket.event({ topic: "lamp", seq: 12, key: "a", data: 1 });
    socket.arrive("set", { topic: "other", seq: 13, key: "a" }, "e:13");
    socket.arrive("set");
    socket.arrive("set", null);
    socket.arrive("set", "text");
    socket.arrive("set", 1, () => {});
    socket.arrive("set", 1, { topic: "lamps", key: "a", time: 1 }, "e:13");
    socket.arrive("tide:reset", { topic: "other", seq: 99, epoch: "x", state: {} });
    assert.deepEqual([map.size, map.seq, map.epoch], [0, 10, "e"]);
});

test("where there is no recovery no position follows the meta; several arguments stay several", async () => {
    const { socket, map } = await loaded(10, {});
    socket.arrive("set", "text", { topic: "lamps", seq: 11, key: "hall", time: 1 });
    socket.arrive("set", "one", "two", { topic: "lamps", seq: 12, key: "porch", time: 1 });
    assert.equal(map.get("hall").data, "text");
    assert.deepEqual([map.get("porch").args, "data" in map.get("porch")], [["one", "two"], false]);
});

test("g5_a_reset_replaces_the_map_whatever_its_sequence", async () => {
    const { socket, map, changes } = await loaded(100, standing(["hall", 90, 1]));
    socket.arrive("tide:reset", { topic: "lamps", seq: 5, epoch: "f", state: standing(["porch", 4, 2]), code: "epoch_changed" });
    socket.event({ seq: 6, key: "attic", data: 3 });
    await settled();
    assert.deepEqual([shown(map), map.seq, map.epoch], [{ attic: 3, porch: 2 }, 6, "f"]);
    assert.deepEqual(changes, ["all", "all", "attic", 6]);
});

test("a reset while the state is awaited is the state, and the answer comes too late", async () => {
    const socket = new FakeSocket();
    const map = liveMap(socket, "lamps");
    socket.connect(true);
    await socket.answer("tide:subscribe", { epoch: "e", seq: 10 });
    socket.arrive("tide:reset", { topic: "lamps", seq: 20, epoch: "e", state: standing(["hall", 20, 20]), code: "trimmed" });
    await socket.answer("tide:snapshot", { epoch: "e", seq: 15, state: standing(["hall", 15, 15]) });
    assert.deepEqual([shown(map), map.seq], [{ hall: 20 }, 20]);
});

test("g5_a_recovered_reconnect_goes_on_and_another_begins_anew", async () => {
    const { socket, map } = await loaded(10, standing(["hall", 10, 1], ["porch", 9, 1]));
    socket.disconnect();
    socket.connect(true);
    assert.equal(socket.asked.length, 0);
    socket.event({ seq: 11, key: "hall", data: 2 });
    assert.deepEqual(shown(map), { hall: 2, porch: 1 });
    socket.disconnect();
    socket.connect(false);
    assert.deepEqual(shown(map), { hall: 2, porch: 1 }, "what was known stays until better is known");
    await socket.answer("tide:subscribe", { epoch: "f", seq: 3 });
    await socket.answer("tide:snapshot", { epoch: "f", seq: 3, state: standing(["attic", 3, 9]) });
    assert.deepEqual([shown(map), map.seq, map.epoch], [{ attic: 9 }, 3, "f"]);
});

test("a connection that ends before the state is here is asked again, recovered or not", async () => {
    const socket = new FakeSocket();
    const map = liveMap(socket, "lamps");
    socket.connect();
    const [lost] = socket.asked.splice(0);
    socket.disconnect();
    socket.connect(true);
    lost.reject(new Error("socket has been disconnected"));
    await socket.answer("tide:subscribe", { epoch: "e", seq: 10 });
    await socket.answer("tide:snapshot", { epoch: "e", seq: 10, state: standing(["hall", 10, 1]) });
    assert.deepEqual([shown(map), map.error, socket.asked.length], [{ hall: 1 }, null, 0]);
});

test("a refusal is said, and tried again", async (t) => {
    let later;
    t.mock.method(globalThis, "setTimeout", (what) => { later = what; });
    const socket = new FakeSocket();
    let calls = 0;
    const map = liveMap(socket, "lamps", () => { calls++; });
    socket.connect();
    await socket.answer("tide:subscribe", { ok: false, code: "forbidden", message: "not you" });
    assert.deepEqual([map.error.code, calls], ["forbidden", 1]);
    later();
    await socket.answer("tide:subscribe", { epoch: "e", seq: 10 });
    await socket.answer("tide:snapshot", { epoch: "e", seq: 10, state: {} });
    assert.deepEqual([map.error, calls, await map.ready], [null, 2, map]);
});

test("a subtree's keys carry their topic", async () => {
    const { socket, map } = await loaded(10, {
        house: { door: { topic: "house", seq: 1, event: "set", key: "door", data: 1 } },
        "house/hall": { lamp: { topic: "house/hall", seq: 2, event: "set", key: "lamp", data: 2 },
                        topic: { topic: "house/hall", seq: 3, event: "set", key: "topic", data: 3 } },
    }, "house/#");
    assert.deepEqual(shown(map), { "house#door": 1, "house/hall#lamp": 2, "house/hall#topic": 3 });
    socket.event({ topic: "house", seq: 11, key: "door", removed: true });
    socket.event({ topic: "house/attic/box", seq: 12, key: "lamp", data: 4 });
    socket.event({ topic: "houses", seq: 13, key: "lamp", data: 5 });
    assert.deepEqual(shown(map), { "house/attic/box#lamp": 4, "house/hall#lamp": 2, "house/hall#topic": 3 });
});

test("a closed map leaves the topic and hears no more", async () => {
    const { socket, map } = await loaded(10, standing(["hall", 10, 1]));
    map.close();
    assert.deepEqual(socket.sent, [["tide:unsubscribe", { topic: "lamps" }]]);
    socket.event({ seq: 11, key: "hall", data: 2 });
    socket.disconnect();
    socket.connect();
    assert.deepEqual([shown(map), socket.asked.length, socket.any.length, socket.listeners.length], [{ hall: 1 }, 0, 0, 0]);
});

/*  One topic under a gateway that may answer late, cut, resume, begin anew, or reset: whatever the
 *  order, the map ends as what stands. */
test("g1_g5_in_1000_random_runs_a_live_map_ends_as_what_stands", async () => {
    for (let seed = 1; seed <= 1000; seed++) {
        let state = seed;
        const random = (below) => {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            return Math.floor(state / 2 ** 32 * below);
        };
        const log = [];
        const stands = (seq) => {
            const keys = new Map();
            for (const event of log)
                if (event.seq <= seq)
                    event.removed ? keys.delete(event.key) : keys.set(event.key, event);
            return Object.fromEntries(keys);
        };
        const socket = new FakeSocket();
        const map = liveMap(socket, "lamps");
        let seq = 0, cursor = null;     // the session's, once it has joined
        const deliver = (count) => {
            for (const event of log)
                if (cursor !== null && event.seq > cursor && count-- > 0) {
                    socket.event(event);
                    cursor = event.seq;
                }
        };
        const answer = async () => {
            const question = socket.asked.shift();
            if (question?.name === "tide:subscribe")
                cursor ??= seq;
            const named = { ok: true, epoch: "e", seq, state: question?.name === "tide:snapshot" ? stands(seq) : undefined };
            deliver(random(3));
            question?.resolve(named);
            await settled();
        };
        socket.connect();
        for (let step = 0; step < 60; step++)
            switch (random(6)) {
            case 0: case 1:
                log.push({ seq: ++seq, key: `k${random(4)}`, ...random(4) ? { data: seq } : { data: null, removed: true } });
                break;
            case 2:
                deliver(random(4));
                break;
            case 3:
                await answer();
                break;
            case 4:
                if (random(4) === 0) {
                    socket.disconnect();
                    socket.asked.splice(0).forEach((question) => question.reject(new Error("disconnected")));
                    const recovered = random(2) === 1;
                    if (!recovered)
                        cursor = null;
                    socket.connect(recovered);
                }
                break;
            default:
                if (cursor !== null && random(4) === 0) {
                    cursor = seq;
                    socket.arrive("tide:reset", { topic: "lamps", epoch: "e", seq, state: stands(seq), code: "trimmed" });
                }
            }
        while (socket.asked.length > 0)
            await answer();
        deliver(Infinity);
        assert.deepEqual(shown(map), Object.fromEntries(Object.entries(stands(seq)).map(([key, event]) => [key, event.data]).sort()),
                         `seed ${seed}`);
        map.close();
    }
});

/* -- resume ----------------------------------------------------------------------------------- */

/* A page whose socket has a session and a position in it; the page is hidden. */
function hidden(storage) {
    const page = newPage({ storage });
    const socket = resume(new FakeSocket());
    socket.meet();
    socket.arrive("wave", 1, "e:5");
    socket.arrive("e:6 is the name of an event without arguments");
    socket.arrive("wave", "text", () => {});
    page("pagehide");
    return { page, socket, pid: `new ${madePids}` };
}

/* The session that the next page of the tab asks for. */
function asked(storage, ...known) {
    newPage({ storage });
    const socket = resume(new FakeSocket());
    return { socket, session: socket.meet(...known) };
}

test("g5_the_next_page_of_the_tab_resumes_behind_the_last_event_of_the_one_before", () => {
    const storage = {};
    const { socket: before, pid } = hidden(storage);
    assert.equal(before.recovered, false);
    const { socket, session } = asked(storage, pid);
    assert.deepEqual([session, socket.recovered, socket.id], [[pid, "e:5"], true, "sid"]);
    assert.deepEqual(storage, {}, "what is in use is not in storage");
    // And so on in its own reconnects.
    socket.disconnect();
    assert.deepEqual([socket.meet(pid), socket.recovered], [[pid, "e:5"], true]);
    socket.arrive("wave", 2, "e:9");
    socket.disconnect();
    assert.deepEqual([socket.meet(pid), socket.recovered], [[pid, "e:9"], true]);
});

test("g5_a_session_that_can_not_be_resumed_is_a_new_one_without_the_old_position", () => {
    const storage = {};
    const { pid } = hidden(storage);
    const { socket, session } = asked(storage);
    assert.deepEqual([session, socket.recovered], [[pid, "e:5"], false]);
    socket.disconnect();
    assert.deepEqual([socket.meet(`new ${madePids}`), socket.recovered], [[`new ${madePids}`, null], true]);
});

test("where there is no recovery nothing is recovered, and pages do not disturb each other", () => {
    newPage();
    const [one, other] = [resume(new FakeSocket()), resume(new FakeSocket(), "other")];
    for (const socket of [one, other, one]) {
        socket.io.engine.readyState = "open";
        socket.onconnect("sid", undefined);
        assert.equal(socket.recovered, false);
    }
    assert.deepEqual([one.closed, other.closed], [0, 0]);
});

test("g1_a_duplicated_tab_gets_a_session_of_its_own", () => {
    const storage = {};
    const { pid } = hidden(storage);
    const copy = { ...storage };
    const { socket } = asked(storage, pid);
    assert.deepEqual(asked({ ...storage }, pid).session, [null, null], "while a page has it, there is nothing to copy");
    // A copy made between two pages: who comes later has it, the other gives way and begins anew.
    assert.equal(socket.closed, 0);
    const { socket: other, session } = asked(copy, pid);
    assert.deepEqual([session, other.recovered, socket.closed], [[pid, "e:5"], true, 1]);
    socket.disconnect();
    assert.deepEqual([socket.meet(pid), socket.recovered, other.closed], [[null, null], false, 0]);
});

test("servers, paths, namespaces and names have sessions of their own", () => {
    const storage = {};
    const kinds = [[{}], [{ uri: "http://there.example/deep?x=1" }], [{ path: "/live" }], [{ nsp: "/admin" }], [{}, "second"]];
    const page = newPage({ storage });
    const pids = kinds.map(([options, name]) => {
        resume(new FakeSocket(options), name).meet();
        return `new ${madePids}`;
    });
    page("pagehide");
    newPage({ storage });
    assert.deepEqual(kinds.map(([options, name]) => resume(new FakeSocket(options), name).meet()[0]), pids);
});

test("a page that comes back from the browser's cache goes on, unless another had its session", () => {
    const storage = {};
    const { page, socket, pid } = hidden(storage);
    page("pageshow", { persisted: true });
    assert.deepEqual([storage, socket.closed], [{}, 0]);
    page("pagehide");
    assert.deepEqual(asked(storage, pid).session, [pid, "e:5"]);
    socket.disconnect();
    page("pageshow", { persisted: true });
    assert.deepEqual([socket.meet(pid), socket.recovered], [[null, null], false]);
    page("pageshow", { persisted: false });
    assert.equal(socket.closed, 1, "only by the claim of the page that had its session");
});

test("storage that throws, or holds what is not ours, costs the session and nothing else", () => {
    const page = newPage({ storage: () => { throw new Error("denied"); } });
    const socket = resume(new FakeSocket());
    socket.meet();
    page("pagehide");
    page("pageshow", { persisted: true });
    socket.disconnect();
    assert.deepEqual([socket.meet(`new ${madePids}`), socket.recovered], [[`new ${madePids}`, null], true]);
    const storage = {};
    hidden(storage);
    storage[Object.keys(storage)[0]] = "{";
    assert.deepEqual(asked(storage).session, [null, null]);
    newPage();
    globalThis.BroadcastChannel = undefined;
    resume(new FakeSocket()).meet();
});

test("a socket that is connected already is left as it is", () => {
    const storage = {};
    hidden(storage);
    const kept = { ...storage };
    newPage({ storage });
    const socket = new FakeSocket();
    socket.connect();
    assert.equal(resume(socket), socket);
    assert.deepEqual([storage, Object.hasOwn(socket, "packet"), pageListeners.length], [kept, false, 0]);
});
