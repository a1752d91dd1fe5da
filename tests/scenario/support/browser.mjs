// A real browser, pages of an origin of their own, and what a page gathers for a test.
// SPDX-License-Identifier: MIT
import http from "node:http";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });

/* A web site on a port, and so of an origin, of its own: { "/path": html }. */
export async function site(t, pages) {
    const server = http.createServer((request, answer) => {
        const html = pages[request.url];
        answer.writeHead(html ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
        answer.end(html);
    });
    await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
    t.after(() => {
        server.close();
        server.closeAllConnections();
    });
    return `http://127.0.0.1:${server.address().port}`;
}

/* Opens a page and keeps what it asks for (preflights too), and what goes wrong in it. */
export async function open(t, browser, url) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.faults = [];
    page.requests = [];
    page.on("pageerror", (error) => page.faults.push(error.message));
    const network = await context.newCDPSession(page);
    /* Said of one request in several messages, of which any may be the first. */
    const about = (id) => {
        let request = page.requests.find((one) => one.id === id);
        if (!request)
            page.requests.push(request = { id, method: "", url: "", headers: {}, received: 0 });
        return request;
    };
    network.on("Network.requestWillBeSent", ({ requestId, request: { method, url } }) =>
        Object.assign(about(requestId), { method, url }));
    network.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) =>
        Object.assign(about(requestId), { headers }));
    network.on("Network.dataReceived", ({ requestId, dataLength }) => { about(requestId).received += dataLength; });
    await network.send("Network.enable");
    await page.goto(url);
    return page;
}
