// A plain TCP balancer: each connection goes to the next gateway in turn, and one that does not answer
// is passed over. It knows nothing of sessions.
// SPDX-License-Identifier: MIT
import net from "node:net";

import { reset } from "./proxy.mjs";

export class Balancer {
    constructor(ports) {
        this.ports = ports;
        this.turn = 0;
        this.pairs = new Set();
        this.taken = new Map(ports.map((port) => [port, 0]));   // connections that each was given
    }

    async start(t) {
        this.server = net.createServer((client) => this.join(client));
        await new Promise((resolve) => { this.server.listen(0, "127.0.0.1", resolve); });
        this.port = this.server.address().port;
        this.url = `http://127.0.0.1:${this.port}`;
        this.ws = `ws://127.0.0.1:${this.port}/ws`;
        t.after(() => {
            this.cut();
            this.server.close();
        });
        return this;
    }

    join(client) {
        client.on("error", () => {});
        const { turn, ports } = this;
        this.turn = (turn + 1) % ports.length;
        this.lead(client, [...ports.slice(turn), ...ports.slice(0, turn)]);
    }

    /* To the first of these that answers. */
    lead(client, [port, ...others]) {
        if (!port) {
            reset(client);
            return;
        }
        const server = net.connect(port, "127.0.0.1");
        const passOver = () => this.lead(client, others);
        server.once("error", passOver);
        server.once("connect", () => {
            server.off("error", passOver);
            this.taken.set(port, this.taken.get(port) + 1);
            const pair = { client, server };
            const end = () => {
                client.destroy();
                server.destroy();
                this.pairs.delete(pair);
            };
            for (const [from, to] of [[client, server], [server, client]]) {
                from.setNoDelay(true);
                from.on("error", end);
                // What has come is still handed on; then the other side ends too.
                from.on("close", () => {
                    this.pairs.delete(pair);
                    to.end();
                });
                from.pipe(to);
            }
            this.pairs.add(pair);
            if (client.destroyed)
                end();
        });
    }

    cut() {
        for (const { client, server } of this.pairs) {
            reset(client);
            reset(server);
        }
        this.pairs.clear();
    }
}

export const balancer = (t, ...servers) => new Balancer(servers.map(({ port }) => port)).start(t);
