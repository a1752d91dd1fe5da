// Server-Sent Events as they come over the wire.
// SPDX-License-Identifier: MIT
import http from "node:http";

import { until } from "./tidemark.mjs";

/* One GET /events. `blocks` keeps every block as its fields; `events` the events as objects. */
export class Stream {
    constructor(where, topics, { since, lastEventId, query = "", headers = {} } = {}) {
        const asked = [topics].flat().map((topic) => `topic=${encodeURIComponent(topic)}`);
        if (since !== undefined)
            asked.push(`since=${encodeURIComponent(since)}`);
        if (lastEventId !== undefined)
            headers["Last-Event-ID"] = lastEventId;
        this.blocks = [];
        this.events = [];
        this.resets = [];
        this.opened = new Promise((resolve, reject) => {
            this.request = http.get(`${where.url}/events?${asked.join("&")}${query}`, { headers, agent: false }, (answer) => {
                this.status = answer.statusCode;
                this.headers = answer.headers;
                let text = "";
                answer.setEncoding("utf8");
                answer.on("data", (part) => {
                    text += part;
                    for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2))
                        this.take(text.slice(0, at));
                    this.rest = text;
                });
                answer.on("error", () => {});
                answer.on("close", () => { this.isClosed = true; });
                resolve(this);
            });
            this.request.on("error", (error) => {
                this.isClosed = true;
                reject(error);
            });
        });
    }

    take(text) {
        const block = {};
        for (const line of text.split("\n")) {
            const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
            if (field)
                block[field] = field === "data" && block.data !== undefined ? `${block.data}\n${value}` : value;
        }
        if (Object.keys(block).length === 0)
            return;     // a comment
        this.blocks.push(block);
        if (block.id !== undefined)
            this.lastId = block.id;
        if (block.event === "reset")
            this.resets.push(JSON.parse(block.data));
        else if (block.data !== undefined)
            this.events.push(JSON.parse(block.data));
    }

    async count(count, timeoutMs = 30000) {
        await until(() => `${count} events (${this.events.length}) of status ${this.status}`,
            () => this.events.length >= count, timeoutMs);
    }

    end() {
        this.request.destroy();
    }
}

/* One that is open and has said its position. */
export async function stream(t, where, topics, options) {
    const self = new Stream(where, topics, options);
    t.after(() => self.end());
    await self.opened;
    await until(() => `the stream's position (status ${self.status}, ${self.rest})`, () => self.lastId || self.isClosed);
    return self;
}
