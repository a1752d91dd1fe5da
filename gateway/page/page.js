/*  The landing page: two stock Socket.IO clients read one topic, and either can be cut.
 *
 *  Nothing here makes up for what the server does: the client resumes by itself, and the page only
 *  watches (which sequences came, which are known to exist, what was recovered).
 *  SPDX-License-Identifier: MIT
 */
import { io } from "/socket.io/socket.io.esm.min.js";

const TOPIC = "demo/tide";
const CELLS = 72;        // events that the strip shows
const ROWS = 200;        // events that a panel lists
const BATCH = 100;       // events of one publish
const KNOWN_MAX = 40000; // sequences that the page remembers

const byId = (id) => document.getElementById(id);

/*  -- the log, as far as this page knows it --------------------------------------------------- */

const known = [];        // sequences of the topic, rising: published from here or seen by a reader

function learn(seq) {
    let at = known.length;
    while (at > 0 && known[at - 1] > seq)
        at--;
    if (at > 0 && known[at - 1] === seq)
        return;
    known.splice(at, 0, seq);
    if (known.length > KNOWN_MAX)
        known.splice(0, known.length - KNOWN_MAX / 2);
}

const head = () => known.length ? known[known.length - 1] : 0;

/*  How many known sequences lie behind `seq`. */
function countAfter(seq) {
    let low = 0, high = known.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (known[middle] <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return known.length - low;
}

/*  -- one reader ------------------------------------------------------------------------------ */

/*  The server's clock less ours: each event that comes live bounds it from above. */
let skew = Infinity;
const serverNow = () => Date.now() + (Number.isFinite(skew) ? skew : 0);

class Reader {
    constructor(letter) {
        this.letter = letter;
        this.received = 0;
        this.missed = 0;
        this.last = null;           // the cursor: the last sequence seen, once it has joined
        this.joined = false;
        this.epoch = "";
        this.isCut = false;
        this.recovered = "–";
        this.foundUpTo = 0;         // events up to this sequence came while this reader was away,
        this.foundBefore = 0;       // and so did those that are older than this
        this.found = new Set();
        this.rows = [];
        this.makePanel();

        // A connection of its own: two clients of one page share one unless told.
        this.socket = io({ forceNew: true, transports: ["websocket"], reconnectionDelay: 200,
                           reconnectionDelayMax: 2000 });
        this.socket.io.on("open", () => this.onOpen());
        this.socket.on("connect", () => this.onConnect());
        this.socket.on("disconnect", () => this.onDisconnect());
        this.socket.on("connect_error", (error) => this.note(`Not connected: ${error.message}`));
        this.socket.on("wave", (data, meta) => this.onEvent(data, meta));
        this.socket.on("tide:reset", (reset) => this.onReset(reset));
    }

    /*  The wire is there, the session not yet: what came up to now, came while this one was away. */
    onOpen() {
        if (!this.joined)
            return;
        this.foundUpTo = head();
        this.foundBefore = serverNow();
    }

    onConnect() {
        draw();
        if (this.socket.recovered) {
            this.recovered = "yes";
            return;
        }
        // A new session: join, behind the last event that the page has seen.
        if (this.joined)
            this.recovered = "no";
        const request = { topic: TOPIC, meta: true };
        if (this.last !== null) {
            request.since = this.last;
            request.epoch = this.epoch;
        }
        this.socket.emit("tide:subscribe", request, (answer) => {
            if (!answer.ok) {
                this.note(`Not subscribed: ${answer.message}`);
                return;
            }
            this.epoch = answer.epoch;
            this.last ??= answer.seq;
            this.joined = true;
            draw();
        });
    }

    onDisconnect() {
        if (this.isCut)
            this.note(`Cut at sequence ${this.last}`);
        draw();
    }

    onEvent(data, meta) {
        if (meta.topic !== TOPIC)
            return;
        const isFound = meta.seq <= this.foundUpTo || meta.time < this.foundBefore;
        if (!isFound)
            skew = Math.min(skew, meta.time - Date.now());
        // What is known to lie between the cursor and this event should have come before it.
        if (this.last !== null)
            this.missed += countAfter(this.last) - countAfter(meta.seq - 1);
        learn(meta.seq);
        this.last = meta.seq;
        this.received++;
        if (isFound)
            this.found.add(meta.seq);
        this.list({ seq: meta.seq, time: meta.time, isFound,
                    text: typeof data?.n === "number" ? `wave ${data.n}` : JSON.stringify(data) });
        draw();
    }

    onReset(reset) {
        this.last = reset.seq;
        this.epoch = reset.epoch;
        this.note(`History is gone (${reset.code}): started again from the snapshot at ${reset.seq}`);
        draw();
    }

    /*  Closes the WebSocket for real, and keeps the client from coming back by itself. */
    cut() {
        this.isCut = true;
        this.socket.io.reconnection(false);
        this.socket.io.engine.close();
    }

    reconnect() {
        this.isCut = false;
        this.socket.io.reconnection(true);
        this.socket.connect();
        draw();
    }

    get behind() {
        return this.last === null ? 0 : countAfter(this.last);
    }

    /*  -- what it shows -- */

    makePanel() {
        const root = byId("panel").content.cloneNode(true).firstElementChild;
        root.id = `panel-${this.letter}`;
        root.classList.add(this.letter);
        const title = root.querySelector("h2");
        title.textContent = `Reader ${this.letter.toUpperCase()}`;
        title.id = `title-${this.letter}`;
        root.setAttribute("aria-labelledby", title.id);
        this.show = Object.fromEntries(["received", "missed", "behind", "last", "recovered", "cut",
                                        "state-text", "events", "empty"]
            .map((name) => [name, root.querySelector(`.${name}`)]));
        this.show.events.setAttribute("aria-label", `Events that reader ${this.letter.toUpperCase()} received, newest first`);
        this.show.cut.addEventListener("click", () => this.isCut ? this.reconnect() : this.cut());
        this.root = byId("panels").appendChild(root);
        this.cursor = byId(`cursor-${this.letter}`);
    }

    list(row) {
        this.rows.push(row);
        if (this.rows.length > ROWS)
            this.rows.splice(0, this.rows.length - ROWS);
    }

    note(text) {
        this.list({ note: text });
        draw();
    }

    draw() {
        const is = this.socket.connected;
        this.root.classList.toggle("connected", is);
        this.root.classList.toggle("is-cut", this.isCut);
        setText(this.show["state-text"], is ? "connected" : this.isCut ? "cut" : "connecting");
        setText(this.show.cut, this.isCut ? "Reconnect" : "Cut the connection");
        this.show.cut.disabled = !is && !this.isCut;
        setText(this.show.received, this.received.toLocaleString("en"));
        setText(this.show.missed, this.missed.toLocaleString("en"));
        this.show.missed.parentElement.classList.toggle("wrong", this.missed > 0);
        setText(this.show.behind, this.behind.toLocaleString("en"));
        setText(this.show.last, this.last === null ? "–" : String(this.last));
        setText(this.show.recovered, this.recovered);
        this.show.recovered.classList.toggle("is-yes", this.recovered === "yes");
        this.show.empty.hidden = this.rows.length > 0;
        if (this.rows.length === 0 || this.rows[this.rows.length - 1] === this.drawn)
            return;
        const from = this.rows.lastIndexOf(this.drawn) + 1;
        this.drawn = this.rows[this.rows.length - 1];
        this.show.events.prepend(...this.rows.slice(from).reverse().map(rowElement));
        while (this.show.events.children.length > ROWS)
            this.show.events.lastElementChild.remove();
    }
}

function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
}

function rowElement(row) {
    const made = document.createElement("li");
    if (row.note) {
        made.className = "note";
        made.textContent = row.note;
        return made;
    }
    made.dataset.seq = row.seq;
    made.append(element("span", "seq", `#${row.seq}`), element("span", "what", row.text));
    if (row.isFound) {
        made.className = "found";
        made.append(element("span", "tag", "recovered"));
    }
    else
        made.append(element("span", "", ""));
    const when = new Date(row.time);
    const time = element("time", "", when.toLocaleTimeString("en-GB"));
    time.dateTime = when.toISOString();
    made.append(time);
    return made;
}

function setText(target, text) {
    if (target.textContent !== text)
        target.textContent = text;
}

/*  -- the strip: one log, two cursors --------------------------------------------------------- */

const cells = Array.from({ length: CELLS }, () => byId("cells").appendChild(document.createElement("li")));

function drawStrip() {
    const shown = known.slice(-CELLS);
    const lowest = Math.min(...readers.map((reader) => reader.last ?? Infinity));
    cells.forEach((cell, i) => {
        const seq = shown[i];
        cell.className = seq === undefined ? "none"
            : seq > lowest ? "ahead"
            : readers.some((reader) => reader.found.has(seq)) ? "found" : "";
        cell.title = seq === undefined ? "" : `sequence ${seq}`;
    });
    for (const reader of readers) {
        const at = Math.max(0, shown.length - reader.behind);
        reader.cursor.style.left = `${(100 * at) / CELLS}%`;
        reader.cursor.classList.toggle("cut", reader.isCut);
    }
    byId("strip").setAttribute("aria-label", known.length === 0 ? "The log is empty"
        : `The log's head is at sequence ${head()}. ` + readers.map((reader) =>
            `Reader ${reader.letter.toUpperCase()} is at ${reader.last ?? "no position yet"}, ${reader.behind} behind`).join("; "));
}

/*  Draws once a frame, however much has come: a hidden page draws when it is seen again. */
let isDue = false;
function draw() {
    if (isDue)
        return;
    isDue = true;
    requestAnimationFrame(() => {
        isDue = false;
        readers.forEach((reader) => reader.draw());
        drawStrip();
    });
}

/*  -- publishing ------------------------------------------------------------------------------ */

let published = 0;

function say(text, isWrong = false) {
    byId("said").textContent = text;
    byId("said").classList.toggle("wrong", isWrong);
}

async function publish(count) {
    const seqs = [];
    while (seqs.length < count) {
        const events = Array.from({ length: Math.min(BATCH, count - seqs.length) },
            () => ({ topic: TOPIC, event: "wave", data: { n: ++published } }));
        const response = await fetch("/api/v1/publish", {
            method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(events)
        });
        const answer = await response.json();
        if (!response.ok)
            throw new Error(answer.error?.message ?? response.statusText);
        for (const { seq } of answer) {
            seqs.push(seq);
            learn(seq);
        }
        draw();
    }
    say(`Published and durable: ${count} event${count === 1 ? "" : "s"}, sequence ${seqs[0]} to ${seqs[seqs.length - 1]}`);
}

/*  Runs one thing at a time; what went wrong is said. */
async function run(what) {
    const buttons = [byId("publish"), byId("show-me")];
    buttons.forEach((button) => { button.disabled = true; });
    try {
        await what();
    }
    catch (error) {
        say(`That did not work: ${error.message}`, true);
    }
    buttons.forEach((button) => { button.disabled = false; });
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const wanted = () => Math.max(1, Math.min(5000, byId("count").valueAsNumber || 50));

byId("burst").addEventListener("submit", (event) => {
    event.preventDefault();
    run(() => publish(wanted()));
});

byId("show-me").addEventListener("click", () => run(async () => {
    const [reader] = readers;
    if (!reader.isCut)
        reader.cut();
    await pause(700);
    await publish(wanted());
    await pause(1400);
    reader.reconnect();
}));

document.querySelectorAll("[data-origin]").forEach((place) => { place.textContent = location.origin; });

const readers = [];
readers.push(new Reader("a"), new Reader("b"));
draw();
