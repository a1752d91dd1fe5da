/*  What the three demos share: how it stands with the connection, and with the workers.
 *  SPDX-License-Identifier: MIT
 */
export const byId = (id) => document.getElementById(id);
export const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export function setText(target, text) {
    if (target.textContent !== text)
        target.textContent = text;
}

export function element(name, className = "", ...inside) {
    const made = document.createElement(name);
    made.className = className;
    made.append(...inside);
    return made;
}

/*  Calls `draw` once a frame at most, however often it is asked to. */
export function oncePerFrame(draw) {
    let isDue = false;
    return () => {
        if (isDue)
            return;
        isDue = true;
        requestAnimationFrame(() => {
            isDue = false;
            draw();
        });
    };
}

/*  What tab this is: what is kept through a reload, and not copied where a tab is duplicated. */
export function keep(slot, fresh, write) {
    let kept;
    try {
        kept = JSON.parse(sessionStorage.getItem(slot));
        sessionStorage.removeItem(slot);
    }
    catch { /* private: the page begins anew */ }
    addEventListener("pagehide", () => {
        try {
            sessionStorage.setItem(slot, JSON.stringify(write()));
        }
        catch { /* as above */ }
    });
    return { ...fresh, ...kept };
}

/*  -- the connection --------------------------------------------------------------------------- */

/*  Shows in `root` (.connected, .back, .away) and its .state-text how a socket is connected. */
export function showState(socket, root) {
    const text = root.querySelector(".state-text");
    let hadOne = false, later;
    const show = (name, words) => {
        clearTimeout(later);
        for (const one of ["connected", "back", "away"])
            root.classList.toggle(one, one === name || (one === "connected" && name === "back"));
        setText(text, words);
    };
    const lost = () => {
        if (!hadOne)
            show("", "connecting");
        else if (socket.isCut)
            show("away", "cut");
        else
            show("away", navigator.onLine ? "reconnecting" : "offline");
    };
    socket.on("connect", () => {
        if (hadOne || socket.recovered) {
            show("back", socket.recovered ? "recovered" : "a new session");
            later = setTimeout(() => show("connected", "connected"), 4000);
        }
        else
            show("connected", "connected");
        hadOne = true;
    });
    socket.on("disconnect", lost);
    socket.on("connect_error", lost);
    addEventListener("offline", () => socket.connected || lost());
}

/*  Takes the transport away, as a tunnel does, and keeps the client from coming back; then lets it. */
export function cut(socket) {
    socket.isCut = true;
    socket.io.reconnection(false);
    socket.io.engine?.close();
}

export function restore(socket) {
    socket.isCut = false;
    socket.io.reconnection(true);
    socket.connect();
}

/*  -- the workers ------------------------------------------------------------------------------ */

const SLOW_MS = 1500;
const AGAIN_MS = 2000;

/*  Asks a worker. What it refuses is an Error with its code. A reply finds the session also after a
 *  reconnect, so nothing is given up where the connection goes meanwhile. */
export function ask(socket, event, ...args) {
    return new Promise((resolve, reject) => {
        const slow = setTimeout(() => socket.connected && notice(socket, "slow"), SLOW_MS);
        socket.emit(event, ...args, (answer) => {
            clearTimeout(slow);
            notice(socket, answer?.code === "no_worker" ? "none" : "");
            if (answer?.ok === false)
                reject(Object.assign(new Error(answer.message), { code: answer.code }));
            else
                resolve(answer);
        });
    });
}

/*  Asks until a worker is there, or the session is another one: then null. */
export async function askUntilServed(socket, event, ...args) {
    const { id } = socket;
    for (;;) {
        try {
            return await ask(socket, event, ...args);
        }
        catch (error) {
            if (error.code !== "no_worker")
                throw error;
        }
        await pause(AGAIN_MS);
        if (socket.id !== id)
            return null;
    }
}

/*  A namespace is there when a worker has served it: until then the server refuses it. */
export function connectWhenServed(socket) {
    socket.on("connect_error", () => {
        if (socket.active)
            return; /* the client tries again by itself */
        notice(socket, "none");
        setTimeout(() => socket.connect(), AGAIN_MS);
    });
    socket.on("connect", () => notice(socket, ""));
    return socket;
}

/*  Says in #notice that no worker answers, and how to start one. */
const waiting = new Map();

function notice(socket, what) {
    if (what)
        waiting.set(socket, what);
    else
        waiting.delete(socket);
    const root = byId("notice"), all = [...waiting.values()];
    root.hidden = all.length === 0;
    if (root.hidden)
        return;
    const { worker } = root.dataset;
    const words = all.includes("none") ? `No ${worker} worker answers.` : `Waiting for a ${worker} worker.`;
    if (root.firstElementChild?.textContent !== words)
        root.replaceChildren(element("b", "", words), element("span", "", "Start one: ", element("code", "", `tidemark-${worker}`)),
            element("span", "quiet", "This page goes on as soon as it is there."));
}
