// The landing page in a real browser: a reader is cut, misses a burst, and gets it marked recovered.
// Leaves screenshots in the build folder.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

import { publish, SHOTS, tidemark, until } from "./support/tidemark.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
let browser;

before(async () => {
    await mkdir(SHOTS, { recursive: true });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(() => browser?.close());

async function open(t, server, width, height, colorScheme = "light") {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    t.after(() => page.close());
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
    await page.goto(server.url);
    await page.waitForSelector("#panel-a.connected");
    await page.waitForSelector("#panel-b.connected");
    const shows = (panel, what) => page.textContent(`#panel-${panel} .${what}`);
    const receives = (panel, count) => until(`${count} events in panel ${panel}`, async () => Number((await shows(panel, "received")).replace(",", "")) === count);
    return { page, complaints, shows, receives };
}

async function burst(page, count) {
    await page.fill("#count", String(count));
    await page.click("#publish");
    await page.waitForSelector("#publish:enabled");
}

for (const [width, height] of [[1280, 800], [390, 844]]) {
    test(`g5_a_cut_reader_gets_the_burst_that_it_missed_marked_recovered_at_${width}_px`, async (t) => {
        const server = await tidemark(t);
        const { page, complaints, shows, receives } = await open(t, server, width, height);
        await until("both readers to have joined", async () => (await shows("a", "last")) !== "–" && (await shows("b", "last")) !== "–");
        await burst(page, 20);
        await receives("a", 20);
        await receives("b", 20);

        await page.click("#panel-a .cut");
        await page.waitForSelector("#panel-a.is-cut:not(.connected)");
        await burst(page, 30);
        await receives("b", 50);
        assert.equal(await shows("a", "received"), "20");
        assert.equal(await shows("a", "behind"), "30");
        await page.screenshot({ path: path.join(SHOTS, `page-${width}-cut.png`), fullPage: true });

        await page.click("#panel-a .cut");
        await receives("a", 50);
        assert.equal(await shows("a", "recovered"), "yes");
        assert.deepEqual([await shows("a", "missed"), await shows("b", "missed")], ["0", "0"]);
        const seqs = (panel, which = "[data-seq]") => page.$$eval(`#panel-${panel} .events li${which}`,
            (rows) => rows.map((row) => Number(row.dataset.seq)).reverse());
        assert.deepEqual(await seqs("a"), await seqs("b"));
        assert.deepEqual(await seqs("a", ".found"), (await seqs("b")).slice(20));
        assert.equal(await page.textContent("#panel-a .found .tag"), "recovered");

        await publish(server, { topic: "demo/tide", event: "wave", data: { n: 1 } });
        await receives("a", 51);
        assert.equal((await seqs("a", ".found")).length, 30);
        assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "the page is wider than the window");
        await page.screenshot({ path: path.join(SHOTS, `page-${width}.png`), fullPage: true });
        assert.deepEqual(complaints, []);
    });
}

test("the button that shows it all does so, in the dark", async (t) => {
    const server = await tidemark(t);
    const { page, complaints, shows, receives } = await open(t, server, 1280, 800, "dark");
    await until("reader A to have joined", async () => (await shows("a", "last")) !== "–");
    await page.click("#show-me");
    await receives("a", 50);
    assert.equal(await shows("a", "recovered"), "yes");
    assert.equal((await page.$$("#panel-a .found")).length, 50);
    await page.screenshot({ path: path.join(SHOTS, "page-1280-dark.png"), fullPage: true });
    assert.deepEqual(complaints, []);
});

test("g8_the_page_goes_on_after_kill_9_of_the_server", async (t) => {
    const server = await tidemark(t);
    const { page, shows, receives } = await open(t, server, 1280, 800);
    await until("both readers to have joined", async () => (await shows("a", "last")) !== "–" && (await shows("b", "last")) !== "–");
    await burst(page, 10);
    await receives("a", 10);
    await server.killAndRestart();
    await until("both readers to be back", async () => (await shows("a", "recovered")) === "yes" && (await shows("b", "recovered")) === "yes");
    await burst(page, 10);
    await receives("a", 20);
    await receives("b", 20);
    assert.equal(await shows("a", "missed"), "0");
});
