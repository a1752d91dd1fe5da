/*  The harbour board: a topic's standing keys as switches, which every browser shares live.
 *
 *  The helper keeps the session across reloads and the keys up to date; the client resumes by
 *  itself. What is left for the page: to publish, to draw, and to check that nothing was missed.
 *  SPDX-License-Identifier: MIT
 */
import { io } from "/socket.io/socket.io.esm.min.js";
import { liveMap, resume } from "/socket.io/tidemark.js";

const BOARD = "demo/board", TICKS = "demo/ticks";
const ROWS = 100;           // changes that the page lists
const PENDING_MAX = 100;    // batches of ticks that wait for the server
const RUNS_MAX = 200;       // runs of ticks that the page follows
const RESTS_AFTER = 600000; // without a hand on it for ten minutes, a page stops ticking
const OFFLINE_S = 5;

const SWITCHES = { lantern: "Lighthouse", quay: "Quay lights", horn: "Fog horn", gate: "Lock gate" };
const SLIDERS = { brightness: "Brightness", water: "Water level" };
const NAMES = { ...SWITCHES, ...SLIDERS };

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const socket = resume(io({ transports: ["websocket"], reconnectionDelay: 200, reconnectionDelayMax: 2000 }));
const board = liveMap(socket, BOARD, (key, event) => {
    for (const control of controls) {
        if (key === undefined)
            control.shownFrom = 0;
        control.show(control.key === key && event.from !== page.sid);
    }
    draw();
});

/*  -- what this page knows, through reloads ---------------------------------------------------- */

/*  Like the session itself: taken out while it is in use, so that a duplicated tab begins anew. */
const STORE = "tidemark board";

const fresh = (sid) => ({
    sid, run: sid && `${sid}/${Date.now().toString(36)}`,   // a run of ticks, numbered from 1
    next: 1, pending: [], runs: {}, seen: 0, missed: 0, twice: 0,
    seq: 0, changes: 0, rows: [], resumed: 0
});

function takeKept() {
    try {
        const kept = sessionStorage.getItem(STORE);
        sessionStorage.removeItem(STORE);
        return JSON.parse(kept) ?? fresh();
    }
    catch {
        return fresh();
    }
}

let page = takeKept();

addEventListener("pagehide", () => {
    try {
        sessionStorage.setItem(STORE, JSON.stringify(page));
    }
    catch { /* private: the page begins anew */ }
});
addEventListener("pageshow", ({ persisted }) => { if (persisted) takeKept(); });

/*  -- the session ------------------------------------------------------------------------------ */

let isOffline = false;
let foundUpTo = 0;      // what came while the page was away: up to this sequence,
let foundAfter = 0;     // behind this one

socket.on("connect", () => {
    if (socket.recovered) {
        if (page.sid !== socket.id)
            page = fresh(socket.id);
        page.resumed++;
        findHead();
    }
    else {
        // A new session: nothing follows from what was seen before.
        page = fresh(socket.id);
        foundUpTo = foundAfter = 0;
        socket.emit("tide:subscribe", { topic: TICKS, meta: true }, (answer) => {
            if (!answer.ok)
                say(`Ticks are not subscribed: ${answer.message}`, true);
        });
    }
    draw();
});
socket.on("disconnect", draw);
socket.on("connect_error", (error) => say(`Not connected: ${error.message}`, true));

/*  Whatever lies between the page's last sequence and the log's present one came while it was away. */
function findHead() {
    const after = page.seq;
    socket.emit("tide:snapshot", { topic: BOARD }, (answer) => {
        if (!answer.ok)
            return;
        [foundAfter, foundUpTo] = [after, answer.seq];
        draw();
    });
}

socket.on("set", (data, meta) => {
    if (meta.topic !== BOARD)
        return;
    page.seq = Math.max(page.seq, meta.seq);
    page.rows.push({ seq: meta.seq, time: meta.time, isOwn: meta.from === page.sid,
                     text: `${NAMES[meta.key] ?? meta.key} ${meta.removed ? "removed" : shown(meta.key, data)}` });
    page.rows.splice(0, page.rows.length - ROWS);
    page.changes++;
    draw();
});

const isOn = (value) => value === true;
const level = (value) => typeof value === "number" && value >= 0 && value <= 100 ? Math.round(value) : 0;
const shown = (key, data) => SLIDERS[key] ? `${level(data)} %` : SWITCHES[key] ? isOn(data) ? "on" : "off" : JSON.stringify(data);

/*  -- ticks: numbered, so that a gap shows ------------------------------------------------------ */

const lastSeen = new Map();     // by run: when a tick of it came

socket.on("tick", (data, meta) => {
    if (meta.topic !== TICKS || typeof data?.run !== "string" || !Number.isSafeInteger(data.n))
        return;
    const { run, n } = data;
    const due = page.runs[run] ?? n;
    if (n >= due) {
        page.missed += n - due;
        page.runs[run] = n + 1;
        const runs = Object.keys(page.runs);
        if (runs.length > RUNS_MAX)
            delete page.runs[runs[0]];
    }
    else
        page.twice++;
    page.seen++;
    page.seq = Math.max(page.seq, meta.seq);
    lastSeen.set(run, Date.now());
    draw();
});

let lastTouched = Date.now();
let posting = null;

/*  Ticks go by HTTP, so that they go on without the socket, in batches that stand or fall together.
 *  Their ids make it harmless to publish a batch again: after an error, and after a reload. */
async function post(run, batch) {
    const response = await fetch("/api/v1/publish", {
        method: "POST", keepalive: true, headers: { "Content-Type": "application/json" },
        body: JSON.stringify(batch.map((n) => ({ topic: TICKS, event: "tick", id: `${run}-${n}`, data: { run, n } })))
    }).catch(() => null);
    return response?.ok;
}

async function postPending() {
    for (const { run } = page; page.run === run && page.pending.length > 0;) {
        if (!await post(run, page.pending[0]) || page.run !== run)
            return;
        page.pending.shift();
    }
}

function addTicks(count) {
    if (page.pending.length < PENDING_MAX)
        page.pending.push(Array.from({ length: count }, () => page.next++));
}

setInterval(() => {
    const isAwake = !document.hidden && Date.now() - lastTouched < RESTS_AFTER;
    if (page.run && isAwake && (socket.connected || isOffline))
        addTicks(isOffline ? 10 : 1);
    posting ??= postPending().finally(() => { posting = null; });
    draw();
}, 1000);

for (const type of ["pointerdown", "keydown"])
    addEventListener(type, () => { lastTouched = Date.now(); });

/*  -- controls --------------------------------------------------------------------------------- */

let published = 0;

class Control {
    constructor(key, kind) {
        this.key = key;
        this.wanted = undefined;    // what to publish next; a slider asks for more than one can see
        this.isBusy = false;
        this.shownFrom = 0;         // the map is older than what was published until it is there
        this.root = byId(kind).content.cloneNode(true).firstElementChild;
        this.root.dataset.key = key;
        this.root.querySelector(".label").textContent = NAMES[key];
        this.who = this.root.querySelector(".who");
        this.who.id = `who-${key}`;
        this.input = this.root.querySelector("[role=switch], input");
        this.input.id = `control-${key}`;
        this.input.setAttribute("aria-describedby", this.who.id);
        this.root.querySelector("label")?.setAttribute("for", this.input.id);
        this.output = this.root.querySelector("output");
        byId(kind === "switch" ? "switches" : "sliders").append(this.root);
    }

    get event() {
        return board.get(this.key);
    }

    async want(data) {
        this.wanted = data;
        this.put(data);
        if (this.isBusy)
            return;
        this.isBusy = true;
        while (this.wanted !== undefined) {
            const event = { topic: BOARD, event: "set", key: this.key, data: this.wanted,
                            id: `${page.run}-${performance.timeOrigin}-${++published}` };
            this.wanted = undefined;
            this.show();
            this.shownFrom = await publishSurely(event);
            await pause(40);
        }
        this.isBusy = false;
        this.show();
    }

    show(isNews = false) {
        this.root.classList.toggle("waiting", this.isBusy && !socket.connected);
        const { event } = this;
        setText(this.who, this.isBusy && !socket.connected ? "goes out when back"
            : !event ? "does not stand"
            : `#${event.seq} · ${event.from === page.sid ? "you" : event.from ? "another browser" : "from outside"}`);
        if (this.isBusy || board.seq < this.shownFrom)
            return;
        this.put(event?.data);
        if (isNews) {
            this.root.classList.remove("changed");
            void this.root.offsetWidth;
            this.root.classList.add("changed");
        }
    }
}

class Switch extends Control {
    constructor(key) {
        super(key, "switch");
        this.input.addEventListener("click", () => this.want(this.input.getAttribute("aria-checked") !== "true"));
    }

    put(value) {
        this.input.setAttribute("aria-checked", isOn(value));
        scene.classList.toggle(`is-${this.key}`, isOn(value));
    }
}

class Slider extends Control {
    constructor(key) {
        super(key, "slider");
        this.input.addEventListener("input", () => this.want(this.input.valueAsNumber));
    }

    put(value) {
        this.input.value = level(value);
        setText(this.output, `${level(value)} %`);
        if (this.key === "brightness")
            scene.style.setProperty("--ray", .15 + level(value) / 118);
        else
            scene.querySelector(".water").style.transform = `translateY(${20 - level(value) * .55}px)`;
    }
}

/*  Publishes once, whatever happens to the connection meanwhile; returns the sequence. */
async function publishSurely(event) {
    for (;;) {
        // The client says by an error that the connection ended first: then nobody knows.
        const answer = await socket.emitWithAck("tide:publish", event).catch(() => ({ code: "timeout" }));
        if (answer.ok)
            return answer.seq;
        if (!["timeout", "broker_away"].includes(answer.code)) {
            say(`Not published: ${answer.message}`, true);
            return 0;
        }
        await pause(300);
    }
}

const scene = byId("scene");
const controls = [...Object.keys(SWITCHES).map((key) => new Switch(key)),
                  ...Object.keys(SLIDERS).map((key) => new Slider(key))];

byId("clear").addEventListener("click", async () => {
    const keys = [...board.keys()];
    for (const key of keys)
        await publishSurely({ topic: BOARD, event: "set", key, id: `${page.run}-${performance.timeOrigin}-${++published}` });
    say(keys.length ? "Nothing stands any more, for anybody." : "Nothing stood.");
});

/*  -- away and back ----------------------------------------------------------------------------- */

byId("reload").addEventListener("click", async () => {
    await posting;
    addTicks(20);
    if (page.pending.length === 1)
        post(page.run, page.pending[0]);
    location.reload();
});

byId("offline").addEventListener("click", async () => {
    const button = byId("offline");
    button.disabled = isOffline = true;
    const before = page.seen + page.changes, missed = page.missed;
    socket.io.reconnection(false);
    socket.io.engine.close();
    for (let left = OFFLINE_S; left > 0; left--) {
        setText(button, `Back in ${left} s`);
        await pause(1000);
    }
    isOffline = false;
    socket.io.reconnection(true);
    socket.once("connect", async () => {
        await pause(700);
        say(!socket.recovered ? "Back, with a new session."
            : `Back: ${page.seen + page.changes - before} events caught up, ${page.missed - missed || "none"} missed.`);
    });
    socket.connect();
    setText(button, "Offline for 5 s");
    button.disabled = false;
});

/*  -- drawing ----------------------------------------------------------------------------------- */

function say(text, isWrong = false) {
    byId("said").textContent = text;
    byId("said").classList.toggle("wrong", isWrong);
}

function setText(target, text) {
    if (target.textContent !== text)
        target.textContent = text;
}

function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
}

const isFound = ({ seq, isOwn }) => !isOwn && seq > foundAfter && seq <= foundUpTo;

function rowElement(row) {
    const made = document.createElement("li");
    made.dataset.seq = row.seq;
    made.className = isFound(row) ? "found" : "";
    const when = new Date(row.time);
    const time = element("time", "", when.toLocaleTimeString("en-GB"));
    time.dateTime = when.toISOString();
    made.append(element("span", "seq", `#${row.seq}`), element("span", "what", row.text),
                element("span", isFound(row) ? "tag" : "by", isFound(row) ? "recovered" : row.isOwn ? "you" : ""), time);
    return made;
}

let drawnRows = "";

function drawRows() {
    const now = `${page.rows.length} ${page.rows.at(-1)?.seq} ${foundAfter} ${foundUpTo}`;
    if (now === drawnRows)
        return;
    drawnRows = now;
    byId("empty").hidden = page.rows.length > 0;
    byId("events").replaceChildren(...[...page.rows].reverse().map(rowElement));
}

let isDrawing = false;

function draw() {
    if (isDrawing)
        return;
    isDrawing = true;
    requestAnimationFrame(() => {
        isDrawing = false;
        const self = byId("self"), is = socket.connected;
        self.classList.toggle("connected", is);
        self.classList.toggle("offline", isOffline && !is);
        setText(byId("state"), is ? "connected" : isOffline ? "offline" : "connecting");
        const seq = Math.max(page.seq, board.seq ?? 0);
        setText(byId("seq"), seq ? String(seq) : "–");
        setText(byId("keys"), board.seq === undefined ? "–" : String(board.size));
        setText(byId("session"), page.sid ? page.sid.slice(0, 6) : "–");
        byId("session").title = page.sid ?? "";
        setText(byId("resumed"), page.resumed ? `${page.resumed}×` : "–");
        byId("resumed").classList.toggle("is-yes", page.resumed > 0);
        for (const name of ["seen", "missed", "twice"])
            setText(byId(name), page[name].toLocaleString("en"));
        for (const name of ["missed", "twice"])
            byId(name).parentElement.classList.toggle("wrong", page[name] > 0);
        for (const [run, time] of lastSeen)
            if (Date.now() - time > 5000)
                lastSeen.delete(run);
        setText(byId("browsers"), String(Math.max(1, lastSeen.size)));
        for (const control of controls)
            control.show();
        drawRows();
    });
}

document.querySelectorAll("[data-origin]").forEach((place) => { place.textContent = location.origin; });
draw();
