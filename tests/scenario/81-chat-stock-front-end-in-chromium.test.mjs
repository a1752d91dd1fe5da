// The front end of Socket.IO's chat example, unmodified, in two windows; and the page of our own,
// at the same table. Leaves screenshots in the build folder.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "./support/browser.mjs";
import { SHARE, SHOTS, tidemark, until } from "./support/tidemark.mjs";
import { jsonClient } from "./support/clients.mjs";
import { startWorkers } from "./support/back-ends.mjs";

const here = (where) => fileURLToPath(new URL(where, import.meta.url));
let browser;

before(async () => {
    await mkdir(SHOTS, { recursive: true });
    browser = await launch();
});
after(() => browser?.close());

/* Says what was shown instead, where it never comes. */
const shown = (what, look, list, timeoutMs = 20000) => until(what, look, timeoutMs).catch(async (error) => {
    throw new Error(`${error.message}; shown was ${JSON.stringify(await list())}`);
});

/* The example's files are what the gateway serves, and the stock client as ever. */
async function serveExample(t) {
    const share = await mkdtemp(path.join(os.tmpdir(), "tidemark-share-"));
    t.after(() => rm(share, { recursive: true, force: true }));
    await symlink(here("fixtures/socketio-chat"), path.join(share, "page"));
    await symlink(path.join(SHARE, "client"), path.join(share, "client"));
    return tidemark(t, { env: { TIDEMARK_SHARE: share } });
}

/* The library that the page loads from elsewhere is not to be had here under that very number. */
async function stockWindow(t, server) {
    const context = await browser.newContext({ viewport: { width: 640, height: 480 } });
    t.after(() => context.close());
    const page = await context.newPage();
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(error.message));
    await page.route("https://code.jquery.com/**", (route) => route.fulfill({ path: here("node_modules/jquery/dist/jquery.min.js") }));
    await page.goto(server.url);
    page.lines = () => page.$$eval(".messages li", (lines) => lines.map((line) => line.innerText.replace(/\s*\n\s*/g, " ").trim()));
    const isLine = (one, other) => one.replace(/\s/g, "") === other.replace(/\s/g, "");
    page.shows = (line, timeoutMs) => shown(line, async () => (await page.lines()).some((one) => isLine(one, line)), page.lines, timeoutMs);
    page.login = async (name) => {
        await page.fill(".usernameInput", name);
        await page.press(".usernameInput", "Enter");
        await page.shows("Welcome to Socket.IO Chat –");
    };
    page.say = async (text) => {
        await page.type(".inputMessage", text);
        await page.press(".inputMessage", "Enter");
    };
    return page;
}

test("the_stock_front_end_works_in_two_windows", { timeout: 120000 }, async (t) => {
    const server = await serveExample(t);
    await startWorkers(t, server, "chat", 2);
    const one = await stockWindow(t, server), other = await stockWindow(t, server);
    await one.login("Ann");
    await one.shows("there's 1 participant");
    await other.login("Ben");
    await other.shows("there are 2 participants");
    await one.shows("Ben joined");
    await one.shows("there are 2 participants");

    await one.type(".inputMessage", "hel");
    await other.shows("Ann is typing");
    await one.type(".inputMessage", "lo");
    await one.press(".inputMessage", "Enter");
    await other.shows("Ann hello");
    await until("that she types to be gone", async () => !(await other.lines()).some((line) => line.includes("is typing")));
    await other.say("hello, Ann");
    await one.shows("Ben hello, Ann");
    await one.screenshot({ path: path.join(SHOTS, "chat-stock-front-end.png") });

    const before = (await one.lines()).length;
    await other.context().setOffline(true);
    await other.close();
    await one.shows("Ben left");
    assert.deepEqual((await one.lines()).slice(before).map((line) => line.replace(/\s+/g, " ")), ["Ben left", "there's 1 participant"]);
    assert.deepEqual([one.complaints, other.complaints], [[], []]);
});

test("the_stock_front_end_misses_nothing_while_the_server_is_killed", { timeout: 120000 }, async (t) => {
    const server = await serveExample(t);
    await startWorkers(t, server, "chat", 2);
    const one = await stockWindow(t, server), other = await stockWindow(t, server);
    await one.login("Ann");
    await other.login("Ben");
    await one.shows("Ben joined");
    await server.killAndRestart();
    await one.shows("you have been reconnected", 40000);
    await one.say("still here?");
    await other.shows("Ann still here?", 40000);
    await other.say("so it seems");
    await one.shows("Ben so it seems");
    assert.equal((await one.lines()).filter((line) => line.includes("Ben left")).length, 0);
});

async function ownPage(t, server, { width = 1280, height = 800, colorScheme = "light", hash = "" } = {}) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    t.after(() => page.close());
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(error.message));
    page.on("console", (message) => { if (message.type() === "error") page.complaints.push(message.text()); });
    await page.goto(`${server.url}/demo/chat/${hash}`);
    await page.waitForSelector("#conversation.connected");
    page.join = async (name) => {
        await page.fill("#username", name);
        await page.click("#join button");
        await page.waitForSelector(`#people li:has(.you)`);
    };
    page.say = async (text) => {
        await page.fill("#message", text);
        await page.press("#message", "Enter");
    };
    page.bubbles = (which = "") => page.$$eval(`#messages ${which} .bubble`, (all) => all.map((one) => one.textContent));
    page.shows = (text) => shown(text, async () => (await page.bubbles()).includes(text), page.bubbles);
    return page;
}

test("our_own_page_shows_history_people_and_what_was_missed", { timeout: 120000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat", 2);
    const ann = await ownPage(t, server);
    await ann.waitForSelector("#nothing:not([hidden])");
    await ann.join("Ann");
    await ann.say("the first word");
    await ann.waitForSelector(".fate:text('sent')");
    const ben = await ownPage(t, server, { width: 390, height: 844, colorScheme: "dark" });
    await ben.shows("the first word"); /* before he has said who he is */
    await ben.join("Ben");
    await ann.waitForSelector("#people li:has-text('Ben')");
    assert.equal(await ann.textContent("#count"), "2 people here");
    await ben.type("#message", "I come");
    await ann.waitForSelector("#typing:has-text('Ben is typing')");
    await ben.press("#message", "Enter");
    await ann.shows("I come");

    await ann.click("#cut");
    await ann.waitForSelector("#conversation.away");
    for (let n = 1; n <= 3; n++)
        await ben.say(`meanwhile ${n}`);
    await until("three sent", async () => (await ben.bubbles(".own")).length === 4);
    await ann.click("#cut");
    await ann.shows("meanwhile 3");
    await ann.waitForSelector("#messages .found .tag");
    assert.deepEqual(await ann.bubbles(".found"), ["meanwhile 1", "meanwhile 2", "meanwhile 3"]);
    await ann.screenshot({ path: path.join(SHOTS, "chat-1280.png"), fullPage: true });
    await ben.screenshot({ path: path.join(SHOTS, "chat-390-dark.png"), fullPage: true });

    const said = await ann.bubbles();
    await ann.reload();
    await ann.shows("meanwhile 3");
    assert.deepEqual(await ann.bubbles(), said, "a reload reads the same");
    await ann.say("still Ann");
    await ben.shows("still Ann");
    for (const page of [ann, ben])
        assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
    assert.deepEqual([ann.complaints, ben.complaints], [[], []]);
});

test("our_own_page_goes_on_whatever_somebody_says_of_himself", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat");
    const strange = [7, null, {}, [], "", "<b>Bold</b>"];
    await Promise.all(strange.map(async (username) => {
        const client = await jsonClient(t, server);
        client.send({ op: "hello" });
        await client.take("welcome");
        await client.ok({ op: "sub", topic: "chat", present: { username } });
    }));
    const page = await ownPage(t, server);
    await page.join("Ann");
    await page.say("anybody here?");
    await page.shows("anybody here?");
    await page.waitForSelector("#people .label:text-is('<b>Bold</b>')");
    assert.equal(await page.textContent("#count"), "2 people here");
    assert.deepEqual(page.complaints, []);
});

test("our_own_page_says_what_to_do_where_there_is_no_worker", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t);
    const page = await ownPage(t, server);
    await page.fill("#username", "Ann");
    await page.click("#join button");
    await page.waitForSelector("#notice:has-text('No chat worker answers')");
    assert.match(await page.textContent("#notice"), /tidemark-chat/);
    await page.screenshot({ path: path.join(SHOTS, "chat-1280-no-worker.png"), fullPage: true });
    await startWorkers(t, server, "chat");
    await page.waitForSelector("#people li:has(.you)");
    await page.waitForSelector("#notice", { state: "hidden" });
});
