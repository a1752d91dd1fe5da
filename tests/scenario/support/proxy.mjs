// A TCP proxy that stands between a client and the gateway, and does to their connection what
// networks do: cuts it, swallows everything without a word, or holds it back as in a tunnel.
// SPDX-License-Identifier: MIT
import net from "node:net";

/* Node cannot reset a socket that is being shut down, and waits for it for ever at its end. */
export const reset = (socket) => (socket.readyState === "open" ? socket.resetAndDestroy() : socket.destroy());

export class Proxy {
    constructor(target) {
        this.target = target;
        this.pairs = new Set();
        this.isOpen = true;     // false: new connections are refused
        this.tunnel = null;     // within one: what goes on at its end
        this.falsify = null;    // (bytes) => what the server gets instead of these of the client's
    }

    async start(t) {
        this.server = net.createServer((client) => this.join(client));
        await new Promise((resolve) => { this.server.listen(0, "127.0.0.1", resolve); });
        this.port = this.server.address().port;
        this.url = `http://127.0.0.1:${this.port}`;
        this.ws = `ws://127.0.0.1:${this.port}/ws`;
        t.after(() => {
            if (this.tunnel)
                this.leaveTunnel();
            this.cut();
            this.server.close();
        });
        return this;
    }

    join(client) {
        if (!this.isOpen) {
            reset(client);
            return;
        }
        if (this.tunnel) {
            client.on("error", () => {});
            client.pause();
            this.tunnel.push(() => {
                this.pass(client);
                client.resume();
            });
        }
        else
            this.pass(client);
    }

    pass(client) {
        const server = net.connect(this.target, "127.0.0.1");
        const pair = { client, server, isStalled: false };
        const end = () => {
            if (pair.isStalled)
                return;
            client.destroy();
            server.destroy();
            this.pairs.delete(pair);
        };
        for (const [from, to] of [[client, server], [server, client]]) {
            from.setNoDelay(true);
            from.on("error", end);
            from.on("close", end);
            from.on("data", (bytes) => {
                if (pair.isStalled || to.destroyed)
                    return;
                if (!to.write(from === client && this.falsify ? this.falsify(bytes) : bytes)) {
                    from.pause();
                    to.once("drain", () => this.tunnel || from.resume());
                }
            });
        }
        this.pairs.add(pair);
    }

    /* Breaks every connection at once, with a reset on both sides. */
    cut() {
        for (const { client, server } of this.pairs) {
            reset(client);
            reset(server);
        }
        this.pairs.clear();
    }

    /* Breaks one of them, whichever it is. */
    cutOne(random) {
        const pair = [...this.pairs][random(this.pairs.size)];
        if (!pair)
            return;
        reset(pair.client);
        reset(pair.server);
        this.pairs.delete(pair);
    }

    /* From here on nothing passes, of connections that there are and of new ones, neither bytes nor
       ends; and as TCP does it, all of it passes late when the network is back. */
    enterTunnel() {
        const pairs = [...this.pairs];
        this.tunnel = [];
        for (const { client, server } of pairs)
            for (const side of [client, server]) {
                side.pause();
                this.tunnel.push(() => side.resume());
            }
    }

    leaveTunnel() {
        const held = this.tunnel;
        this.tunnel = null;
        for (const goOn of held)
            goOn();
    }

    /* Half-open: what is connected now goes nowhere any more, and neither side is told. Returns what
       lets the server know at last. */
    stall() {
        const stalled = [...this.pairs];
        for (const pair of stalled) {
            pair.isStalled = true;
            this.pairs.delete(pair);
        }
        return () => {
            for (const { client, server } of stalled) {
                server.destroy();
                client.destroy();
            }
        };
    }
}

export const proxy = (t, server) => new Proxy(server.port).start(t);
