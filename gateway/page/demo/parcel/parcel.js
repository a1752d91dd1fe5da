/*  Parcels: a shop, and drivers, each with a connection and a named cursor of its own.
 *
 *  Nothing is kept here. What stands in a topic is read when a seat is taken; what happened since
 *  somebody last read there under that name comes by the cursor, and is acknowledged one by one.
 *  SPDX-License-Identifier: MIT
 */
import { io } from "/socket.io/socket.io.esm.min.js";
import { liveMap } from "/socket.io/tidemark.js";
import { ask, askUntilServed, byId, connectWhenServed, element, keep, oncePerFrame, setText, showState } from "../demo.js";

const SHOPS = ["Bakery", "Florist", "Bookshop", "Chandler", "Pharmacy", "Fishmonger", "Tailor", "Clockmaker"];
const DRIVERS = ["Ann", "Ben", "Cleo", "Dov", "Eva", "Femi", "Gus", "Hana", "Ivo", "Jun", "Kim", "Lev"];
const GOODS = ["Two rye loaves", "A wreath of thyme", "Charts of the estuary", "Forty metres of rope", "Cough drops",
               "A crate of mussels", "Oilskins, size L", "A clock that ticks", "Ginger biscuits", "A letter, by hand"];
const PLACES = ["Harbour office", "North quay 4", "The lighthouse", "Lock keeper’s house", "Pilot boat", "Ferry landing",
                "12 Rope Walk", "Fish market, stall 9", "The old crane", "Customs house"];
const STEPS = ["waiting", "coming", "taken", "delivered"];
const FEED = 40, LISTED = 12;
const LOOKS_BACK = 5000;    // sequences

const any = (list) => list[Math.floor(Math.random() * list.length)];
const options = { forceNew: true, transports: ["websocket"], reconnectionDelay: 200, reconnectionDelayMax: 2000 };

/*  -- a seat: a shop's or a driver's ------------------------------------------------------------ */

class Seat {
    constructor(role, name) {
        this.role = role;
        this.name = name;
        this.topic = `parcel/${role}/${name}`;
        this.cursor = `parcel ${role} ${name}`;
        this.parcels = new Map();
        this.known = new Map();     // parcels by id that were in hand
        this.feed = [];
        this.draw = oncePerFrame(() => this.show());
        const root = this.root = byId("seat").content.cloneNode(true).firstElementChild;
        root.classList.add(role);
        root.querySelector("small").textContent = role === "shop" ? "Shop" : "Driver";
        root.querySelector(".seat-name").textContent = name;
        root.querySelector("h2").id = `${role}-${name}`;
        root.setAttribute("aria-labelledby", `${role}-${name}`);
        root.querySelector(".happened").textContent = "What happened";
        root.querySelector(".feed").setAttribute("aria-label", `What happened, as ${name} heard it, newest first`);
        root.querySelector(".cut").addEventListener("click", () => this.socket ? this.close() : this.open());
        byId("seats").append(root);
        this.open();
    }

    /*  As a window that is opened: nothing is known, and the session is a new one. */
    open() {
        this.parcels.clear();
        this.feed = [];
        this.foundUpTo = undefined;
        const socket = this.socket = connectWhenServed(io("/parcel", options));
        showState(socket, this.root);
        socket.on("connect", () => socket.recovered || this.begin(socket));
        socket.on("tide:cursor", ({ cursor }) => cursor === this.cursor && this.tell("Read in another window by now"));
        socket.on("tide:reset", ({ topic, state }) => topic === this.topic && this.replace(state));
        for (const event of ["parcel", "pick-up", "handed on", "delivered"])
            socket.on(event, (data, meta) => meta?.topic === this.topic && this.hear(event, data, meta));
        this.draw();
    }

    /*  As a window that is closed: the transport goes, and nobody comes back. */
    close() {
        const { socket } = this;
        this.socket = null;
        socket.isCut = true;
        socket.io.reconnection(false);
        socket.io.engine?.close();
        this.draw();
    }

    async begin(socket) {
        const { id } = socket;
        try {
            const { seq, epoch, state } = await ask(socket, "tide:snapshot", { topic: this.topic });
            this.replace(state);
            // What is in hand no more has no data of its own: what it was is in the history.
            const { events } = await ask(socket, "tide:history", { topic: this.topic, since: Math.max(0, seq - LOOKS_BACK), limit: 1000 });
            for (const { key, data } of events)
                if (data?.what)
                    this.known.set(key, data);
            const taken = await ask(socket, "tide:subscribe", { topic: this.topic, cursor: this.cursor, since: seq, epoch, meta: true });
            if (socket.id === id)
                this.foundUpTo = taken.seq;
            if (this.role === "driver")
                await askUntilServed(socket, "on duty", { driver: this.name });
        }
        catch (error) {
            if (socket === this.socket && socket.id === id)
                this.tell(`That did not work: ${error.message}`);
        }
        this.draw();
    }

    replace(state) {
        this.parcels.clear();
        for (const { key, seq, data } of Object.values(state))
            this.parcels.set(key, { ...data, id: key, seq });
        this.draw();
    }

    /*  What comes before the answer to the subscription happened while nobody read here. */
    hear(event, data, { key, seq, removed }) {
        const isFound = this.foundUpTo === undefined || seq <= this.foundUpTo;
        const before = this.parcels.get(key), parcel = { ...this.known.get(key), ...before, ...data };
        this.tell(this.words(event, parcel), { seq, isFound });
        if (!(before?.seq > seq)) {
            if (removed)
                this.parcels.delete(key);
            else
                this.parcels.set(key, { ...data, id: key, seq, isNews: true });
        }
        this.socket?.emit("tide:ack", { cursor: this.cursor, seq });
        this.draw();
    }

    tell(text, { seq, isFound = false } = {}) {
        this.feed.push({ text, seq, isFound });
        this.feed.splice(0, this.feed.length - FEED);
        this.draw();
    }

    show() {
        const { root } = this, part = (selector) => root.querySelector(selector);
        root.classList.toggle("is-cut", !this.socket);
        if (!this.socket)
            setText(part(".state-text"), "closed");
        setText(part(".cut"), !this.socket ? "Open again" : this.role === "shop" ? "Close the shop" : "Close this window");
        const listed = [...this.parcels.values()].sort((one, other) => other.seq - one.seq).slice(0, LISTED);
        part(".empty").hidden = listed.length > 0;
        setText(part(".empty"), this.emptyWords());
        const now = JSON.stringify(listed);
        if (now !== this.drawn) {
            this.drawn = now;
            part(".parcels").replaceChildren(...listed.map((parcel) => this.rowElement(parcel)));
        }
        for (const parcel of listed)
            parcel.isNews = false;
        const rows = this.feed.map(({ text, seq, isFound }) => {
            const made = element("li", isFound ? "found" : "", element("span", "text", text));
            if (isFound)
                made.append(element("span", "tag", "caught up"));
            if (seq)
                made.append(element("span", "seq", `#${seq}`));
            return made;
        });
        part(".feed").replaceChildren(...rows.length > 0 ? rows.reverse() : [element("li", "nothing", "Nothing yet.")]);
    }

    row(parcel, where) {
        const made = element("li", `${parcel.state} ${parcel.isNews ? "news" : ""}`, element("span", "what", parcel.what),
            element("span", "where", where));
        made.dataset.id = parcel.id;
        return made;
    }
}

class Shop extends Seat {
    constructor(name) {
        super("shop", name);
        const form = this.root.querySelector("form");
        form.hidden = false;
        const { what, to } = form.elements;
        const suggest = () => [what.value, to.value] = [any(GOODS), any(PLACES)];
        suggest();
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            if (!this.socket)
                this.open();
            ask(this.socket, "post", { shop: name, what: what.value.trim(), to: to.value.trim() })
                .catch((error) => this.tell(`Not posted: ${error.message}`));
            suggest();
        });
    }

    words(event, { what, state, driver }) {
        return { waiting: `${what}: waits for a driver`, coming: `${what}: ${driver} is coming`, taken: `${what}: ${driver} has it`,
                 delivered: `${what}: delivered by ${driver}` }[state] ?? event;
    }

    emptyWords() {
        return "No parcels yet. Post a pick-up.";
    }

    rowElement(parcel) {
        const { state, driver } = parcel;
        const made = this.row(parcel, `to ${parcel.to}`);
        const steps = element("span", "steps", ...STEPS.map((step, at) => element("i", at <= STEPS.indexOf(state) ? "done" : "")));
        steps.ariaHidden = "true";
        made.append(element("span", "stands", { waiting: "waiting", coming: `${driver} is coming`, taken: `${driver} has it`, delivered: "delivered" }[state] ?? ""), steps);
        return made;
    }
}

class Driver extends Seat {
    constructor(name) {
        super("driver", name);
    }

    words(event, { what, shop, state }) {
        return event === "handed on" ? `${what ?? "A parcel"}: gone to another driver`
            : event === "delivered" ? `${what ?? "A parcel"}: delivered`
            : state === "taken" ? `${what}: picked up` : `${what}: to be picked up at ${shop}`;
    }

    emptyWords() {
        return this.socket ? "Nothing in hand. The next parcel comes by itself." : "Gone. What was in hand goes to another.";
    }

    rowElement(parcel) {
        const made = this.row(parcel, `${parcel.shop} → ${parcel.to}`);
        const next = parcel.state === "taken" ? "delivered" : "picked up";
        const button = element("button", parcel.state === "taken" ? "primary" : "", next === "delivered" ? "Delivered" : "Picked up");
        button.type = "button";
        button.setAttribute("aria-label", `${button.textContent}: ${parcel.what}`);
        button.disabled = !this.socket;
        button.addEventListener("click", () => {
            button.disabled = true;
            ask(this.socket, next, { id: parcel.id }).catch((error) => {
                this.tell(`${parcel.what}: ${error.message}`);
                button.disabled = false;
            });
        });
        made.append(button);
        return made;
    }
}

/*  -- who is on the road ------------------------------------------------------------------------ */

const watcher = connectWhenServed(io("/parcel", options));
const onDuty = liveMap(watcher, "$presence/parcel/drivers", () => drawRound());
const waiting = liveMap(watcher, "parcel/jobs", () => drawRound());

const drawRound = oncePerFrame(() => {
    const names = [...new Set([...onDuty.values()].map(({ data }) => data?.data?.driver).filter(Boolean))].sort();
    setText(byId("duty"), names.join(", ") || "nobody");
    setText(byId("waiting"), waiting.seq === undefined ? "–" : String(waiting.size));
});

/*  -- the page: whoever the address names, or one of each --------------------------------------- */

const given = new URLSearchParams(location.search);
const isName = (name) => /^[\p{L}\p{N}][\p{L}\p{N} -]{0,15}$/u.test(name ?? "");
const fresh = [...DRIVERS].sort(() => Math.random() - .5);
const page = keep("tidemark demo parcel", { shop: any(SHOPS), drivers: fresh.slice(0, 2) }, () => page);
const alone = isName(given.get("shop")) ? ["shop", given.get("shop")] : isName(given.get("driver")) ? ["driver", given.get("driver")] : null;

if (alone) {
    byId("seats").classList.add("is-one");
    const [role, name] = alone;
    role === "shop" ? new Shop(name) : new Driver(name);
    byId("alone").append(link("A shop and two drivers", "./", false));
}
else {
    new Shop(page.shop);
    page.drivers.forEach((name) => new Driver(name));
    byId("alone").append("In a window of its own: ", link("a shop", `?shop=${any(SHOPS)}`), link("a driver", `?driver=${fresh[2]}`));
}

function link(text, href, isElsewhere = true) {
    const made = element("a", "", text);
    made.href = href;
    if (isElsewhere)
        Object.assign(made, { target: "_blank", rel: "noopener" });
    return made;
}
drawRound();
