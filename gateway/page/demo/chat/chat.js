/*  The chat: the events of Socket.IO's chat example, and beside them what the log gives.
 *
 *  The worker knows nothing of this page: it handles `add user`, `new message` and `typing` as for
 *  the example's own front end. History is read from the topic that the room is, people from its
 *  presence; both are there for anybody.
 *  SPDX-License-Identifier: MIT
 */
import { io } from "/socket.io/socket.io.esm.min.js";
import { liveMap, resume } from "/socket.io/tidemark.js";
import { ask, askUntilServed, byId, cut, element, keep, oncePerFrame, restore, setText, showState } from "../demo.js";

const ROOMS = ["chat", "kitchen", "harbour"];
const WINDOW = 2000;        // sequences that are looked through for messages at a time
const ROWS = 1000;          // messages that the page keeps
const TYPING_MS = 900;      // without a key for so long, one does not type any more
const TYPED_MS = 8000;      // said to type, and no more word of it
const GROUP_MS = 300000;    // what one says within this time stands under one name
const COLOURS = 6;

const room = ROOMS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "chat";
const topic = room === "chat" ? "chat" : `chat:${room}`;

const page = keep(`tidemark demo ${topic}`, { name: "", seq: 0 }, () => ({ name, seq: lastSeq }));
const socket = resume(io({ transports: ["websocket"], reconnectionDelay: 200, reconnectionDelayMax: 2000 }), room);

let { name } = page;        // who this is, once that is said
let isIn = false;           // the worker has let us in
let numUsers = 0;

/*  -- what was said ---------------------------------------------------------------------------- */

const rows = [];            // in order; what is not sent yet is the newest
let lastSeq = page.seq;
let oldest = 0;             // what came after this sequence is here
let foundAfter = 0, foundUpTo = 0;      // what came while this page was away

function add(row) {
    row.at ??= row.seq ?? Infinity;
    let at = rows.length;
    while (at > 0 && row.at < rows[at - 1].at)
        at--;
    if (row.seq && rows[at - 1]?.seq === row.seq)
        return;
    rows.splice(at, 0, row);
    if (rows.length > ROWS)
        oldest = rows.splice(0, rows.length - ROWS).at(-1).seq ?? oldest;
    draw();
}

function hear(event, data, meta) {
    lastSeq = Math.max(lastSeq, meta.seq ?? 0);
    const username = String(data?.username ?? "somebody");
    if (event === "new message") {
        typing.delete(username);
        add({ seq: meta.seq, time: meta.time, username, text: String(data?.message ?? ""),
              isOwn: meta.from ? meta.from === socket.id : username === name });
    }
    else if (event === "user joined" || event === "user left") {
        typing.delete(username);
        const count = Number(data?.numUsers) || 0;
        if (meta.seq >= lastSeq)
            numUsers = count;
        add({ seq: meta.seq, time: meta.time, note: `${username} ${event === "user joined" ? "joined" : "left"}` });
    }
}

for (const event of ["new message", "user joined", "user left"])
    socket.on(event, (data, meta) => {
        if (meta?.topic === topic)
            hear(event, data, meta);
    });

socket.on("tide:reset", (reset) => reset.topic === topic && note("What was said meanwhile is gone: the server keeps no more of it"));

/*  Reads what was said in (since, upTo], also by ourselves: that it is not told again. */
async function readBack(since, upTo) {
    for (;;) {
        const answer = await ask(socket, "tide:history", { topic, since, limit: 1000 });
        for (const { seq, time, from, event, data } of answer.events)
            if (seq <= upTo)
                hear(event, data, { topic, seq, time, from });
        if (!answer.more || answer.events.at(-1).seq >= upTo)
            return;
        since = answer.events.at(-1).seq;
    }
}

async function readEarlier() {
    const upTo = oldest;
    oldest = Math.max(0, oldest - WINDOW);
    await readBack(oldest, upTo);
    draw();
}

byId("earlier").addEventListener("click", async () => {
    const before = rows.length;
    byId("earlier").disabled = true;
    while (oldest > 0 && rows.length < before + 20)
        await readEarlier();
    byId("earlier").disabled = false;
});

/*  -- the session ------------------------------------------------------------------------------ */

socket.on("connect", async () => {
    const { id, recovered } = socket, after = lastSeq; // what was missed comes right behind this
    try {
        // What is read here is live from N on; what came before is read back.
        const { seq } = await ask(socket, recovered ? "tide:snapshot" : "tide:subscribe", { topic, meta: true });
        if (socket.id !== id)
            return;
        foundAfter = recovered ? after : seq;
        foundUpTo = seq;
        if (rows.length === 0 || !recovered) {
            for (let at = rows.length; at-- > 0;)
                if (rows[at].fate === "sent")
                    rows.splice(at, 1); // it has its place in what is read now
            oldest = Math.max(0, seq - WINDOW);
            await readBack(oldest, seq);
            isFilled = true;
        }
        isIn &&= recovered;
        if (recovered && name)
            isIn = true;
        draw();
        if (name && !isIn)
            await join();
    }
    catch (error) {
        if (socket.id === id)
            note(`That did not work: ${error.message}`);
    }
});

const people = liveMap(socket, `$presence/${topic}`, () => draw());
const nameOf = ({ data }) => typeof data?.data?.username === "string" ? data.data.username : ""; // anybody may say anything

let joining = Promise.resolve();    // what is said waits until this one is in

function join() {
    joining = askUntilServed(socket, "add user", name, ...room === "chat" ? [] : [room]);
    return joining;
}

socket.on("login", (data) => {
    isIn = true;
    numUsers = Number(data?.numUsers) || 0;
    draw();
});

byId("join").addEventListener("submit", (event) => {
    event.preventDefault();
    name = byId("username").value.trim();
    if (!name)
        return;
    isNew = true;
    draw();
    join().catch((error) => {
        name = "";
        note(`You are not in: ${error.message}`);
    });
});

let isNew = false;      // just joined: the next field to type into is the message's
let isFilled = false;

showState(socket, byId("conversation"));

/*  -- saying ----------------------------------------------------------------------------------- */

const note = (text) => add({ at: lastSeq + .5, time: Date.now(), note: text });

async function send(row) {
    row.fate = "";
    draw();
    try {
        await joining;
        await askUntilServed(socket, "new message", row.text);
        row.fate = "sent";
        // The answer has its place among all that we hear: right behind the message's.
        row.at = lastSeq + .5;
        rows.sort((one, other) => (one.at > other.at) - (one.at < other.at));
    }
    catch (error) {
        row.fate = "wrong";
        row.why = error.message;
    }
    draw();
}

byId("say").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("message").value.trim();
    if (!text)
        return;
    byId("message").value = "";
    const row = { time: Date.now(), username: name, text, isOwn: true };
    add(row);
    isAtEnd = true;
    send(row);
    stopTyping();
});

let typesUntil = null;

function stopTyping() {
    if (typesUntil === null)
        return;
    clearTimeout(typesUntil);
    typesUntil = null;
    socket.volatile.emit("stop typing");
}

byId("message").addEventListener("input", () => {
    if (typesUntil === null)
        socket.volatile.emit("typing");
    clearTimeout(typesUntil);
    typesUntil = setTimeout(stopTyping, TYPING_MS);
});

const typing = new Map();       // by name: when that was said

socket.on("typing", (data) => {
    const username = String(data?.username);
    typing.set(username, Date.now());
    setTimeout(draw, TYPED_MS + 50);
    draw();
});
socket.on("stop typing", (data) => {
    typing.delete(String(data?.username));
    draw();
});

/*  -- drawing ---------------------------------------------------------------------------------- */

const colours = new Map();

function colour(username) {
    let hash = 7;
    for (const letter of username)
        hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
    if (!colours.has(username))
        colours.set(username, `var(--n${hash % COLOURS})`);
    return colours.get(username);
}

const clock = (time) => new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = (time) => new Date(time).toDateString();
const isFound = (row) => row.seq > foundAfter && row.seq <= foundUpTo && !row.isOwn;

function fateElement(row) {
    if (row.fate === "wrong") {
        const again = element("button", "", "try again");
        again.type = "button";
        again.addEventListener("click", () => send(row));
        return element("span", "fate wrong", `Not sent (${row.why}): `, again);
    }
    return element("span", "fate", row.fate === "sent" ? "sent" : socket.connected ? "sending" : "goes out when back");
}

function rowElement(row, before) {
    const made = element("li");
    if (row.note) {
        made.className = "note";
        made.append(row.note);
        if (isFound(row))
            made.append(element("span", "tag", "caught up"));
        return made;
    }
    const isFirst = !before || before.note || before.username !== row.username || row.time - before.time > GROUP_MS
        || before.isOwn !== row.isOwn || isFound(before) !== isFound(row);
    made.className = [row.isOwn ? "own" : "", isFirst ? "first" : "", isFound(row) ? "found" : ""].filter(Boolean).join(" ");
    made.style.setProperty("--name", colour(row.username));
    if (isFirst) {
        const time = element("time", "", clock(row.time));
        time.dateTime = new Date(row.time).toISOString();
        const who = element("span", "who", row.isOwn ? "you" : row.username, time);
        if (isFound(row))
            who.append(" ", element("span", "tag", "caught up"));
        made.append(who);
    }
    made.append(element("span", "bubble", row.text));
    if (row.fate !== undefined && row === rows.findLast((one) => one.isOwn))
        made.append(fateElement(row));
    else if (row.fate === "wrong")
        made.append(fateElement(row));
    return made;
}

const scroll = byId("scroll");
let isAtEnd = true, drawn = "";

scroll.addEventListener("scroll", () => {
    isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    if (isAtEnd)
        byId("latest").hidden = true;
});
byId("latest").addEventListener("click", () => { scroll.scrollTop = scroll.scrollHeight; });

function drawRows() {
    const now = JSON.stringify([rows.length, rows[0]?.seq, rows.at(-1)?.seq, foundAfter, foundUpTo, socket.connected,
                                rows.filter((row) => row.fate !== undefined).map((row) => row.fate)]);
    if (now === drawn)
        return;
    const isMore = drawn !== "" && !isAtEnd && rows.at(-1) !== lastDrawn;
    const fromEnd = scroll.scrollHeight - scroll.scrollTop;
    const isEarlier = rows[0] !== firstDrawn && rows.at(-1) === lastDrawn;
    [drawn, firstDrawn, lastDrawn] = [now, rows[0], rows.at(-1)];
    const items = [];
    rows.forEach((row, at) => {
        if (at === 0 || day(row.time) !== day(rows[at - 1].time))
            items.push(element("li", "note day", day(row.time) === day(Date.now()) ? "Today"
                : new Date(row.time).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" })));
        items.push(rowElement(row, rows[at - 1]));
    });
    byId("messages").replaceChildren(...items);
    if (isAtEnd)
        scroll.scrollTop = scroll.scrollHeight;
    else if (isEarlier)
        scroll.scrollTop = scroll.scrollHeight - fromEnd;
    byId("latest").hidden = !isMore;
}

let firstDrawn, lastDrawn;

function drawTyping() {
    for (const [username, since] of typing)
        if (Date.now() - since > TYPED_MS)
            typing.delete(username);
    const names = [...typing.keys()];
    const words = names.length === 0 ? "" : names.length === 1 ? `${names[0]} is typing`
        : names.length === 2 ? `${names[0]} and ${names[1]} are typing` : "Several people are typing";
    if (byId("typing").textContent !== words) {
        const dots = element("span", "dots", element("i"), element("i"), element("i"));
        dots.ariaHidden = "true";
        byId("typing").replaceChildren(...words ? [dots, words] : []);
    }
}

function drawPeople() {
    const present = [...people].map(([sid, event]) => ({ sid, username: nameOf(event) })).filter(({ username }) => username)
        .sort((one, other) => one.username.localeCompare(other.username));
    if (people.seq !== undefined && !people.error)
        numUsers = present.length;
    setText(byId("count"), `${numUsers} ${numUsers === 1 ? "person" : "people"} here`);
    byId("nobody").hidden = present.length > 0;
    const now = JSON.stringify([present, socket.id]);
    if (now === byId("people").dataset.drawn)
        return;
    byId("people").dataset.drawn = now;
    byId("people").replaceChildren(...present.map(({ sid, username }) => {
        const face = element("span", "face", [...username][0]);
        face.ariaHidden = "true";
        const made = element("li", "", face, element("span", "label", username));
        made.style.setProperty("--name", colour(username));
        if (sid === socket.id)
            made.append(element("span", "you", "you"));
        return made;
    }));
}

const draw = oncePerFrame(() => {
    byId("join").hidden = name !== "";
    byId("say").hidden = name === "";
    if (isNew) {
        isNew = false;
        byId("message").focus();
    }
    byId("earlier").hidden = !isFilled || oldest === 0;
    byId("nothing").hidden = rows.length > 0;
    setText(byId("nothing"), isFilled ? "Nothing was said here yet. Say who you are, and begin." : "Reading what was said …");
    setText(byId("cut"), socket.isCut ? "Come back" : "Cut my connection");
    drawPeople();
    drawRows();
    drawTyping();
});

byId("title").textContent = `#${room}`;
document.title = `Tidemark: #${room}`;
byId("second").href = room === "chat" ? "./" : `./#${room}`;
byId("rooms").append(...ROOMS.map((one) => {
    const link = element("a", "", `#${one}`);
    link.href = `#${one}`;
    if (one === room)
        link.setAttribute("aria-current", "page");
    return element("li", "", link);
}));
addEventListener("hashchange", () => location.reload());

byId("cut").addEventListener("click", () => {
    if (socket.isCut)
        restore(socket);
    else
        cut(socket);
    draw();
});
socket.on("disconnect", () => draw());
draw();
