// The command line and a broker by itself; and a stranger on the broker's socket, byte by byte.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";

import { BIN, freePorts, until } from "./tidemark.mjs";

/* One running program; its words are kept, lines of its output can be waited for. */
export class Running {
    constructor(t, name, args, env = {}) {
        this.out = "";
        this.err = "";
        this.child = spawn(path.resolve(BIN, name), args, {
            stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
        this.child.stdout.on("data", (text) => { this.out += text; });
        this.child.stderr.on("data", (text) => { this.err += text; });
        this.child.stdin.on("error", () => {});
        this.ended = new Promise((resolve, reject) => {
            this.child.on("error", reject);
            this.child.on("close", (code, signal) => {
                this.code = code;
                this.signal = signal;
                this.isOver = true;
                resolve(this);
            });
        });
        t.after(() => this.kill());
    }

    lines() {
        return this.out.split("\n").slice(0, -1);
    }

    events() {
        return this.lines().map((line) => JSON.parse(line));
    }

    async until(what, look) {
        await until(() => `${what}; it said:\n${this.err}${this.out.slice(-500)}`, () => look(this));
    }

    write(text) {
        return new Promise((resolve) => { this.child.stdin.write(text, resolve); });
    }

    kill(signal = "SIGKILL") {
        if (!this.isOver)
            this.child.kill(signal);
        return this.ended;
    }
}

/* Runs a program to its end. */
export function run(t, name, args, { input = "", env } = {}) {
    const program = new Running(t, name, args, env);
    program.child.stdin.end(input);
    return program.ended;
}

/* A broker on ports of its own, and the commands that talk to it. */
export class Broker {
    /* fileBlocks: no file of it may grow beyond so many times 512 bytes, as if the disk were full. */
    static async start(t, args = [], { fileBlocks } = {}) {
        const self = new Broker();
        self.fileBlocks = fileBlocks;
        self.t = t;
        self.port = await freePorts(3);
        self.endpoint = `tcp://127.0.0.1:${self.port}`;
        self.data = await mkdtemp(path.join(os.tmpdir(), "tidemark-"));
        self.args = ["--broker", self.endpoint, "--data", self.data, ...args];
        t.after(() => rm(self.data, { recursive: true, force: true }));
        await self.restart();
        return self;
    }

    async restart() {
        this.program = this.fileBlocks
            ? new Running(this.t, "/bin/sh", ["-c", `trap "" XFSZ; ulimit -f ${this.fileBlocks}; exec "$0" "$@"`,
                                              path.resolve(BIN, "tidemark-broker"), ...this.args])
            : new Running(this.t, "tidemark-broker", this.args);
        await this.program.until("the broker to be up", () => /event=broker_up/.test(this.program.err));
        return this;
    }

    async kill9() {
        await this.program.kill("SIGKILL");
    }

    with([command, ...rest]) {
        return [command, "--broker", this.endpoint, ...rest];
    }

    /* `tidemark ARGS…` to its end. */
    tidemark(...args) {
        return run(this.t, "tidemark", this.with(args));
    }

    tidemarkWith(input, ...args) {
        return run(this.t, "tidemark", this.with(args), { input });
    }

    /* `tidemark ARGS…` that goes on. */
    running(...args) {
        return new Running(this.t, "tidemark", this.with(args));
    }

    /* A subscriber that has joined: what is published from now on, it prints. */
    async subscriber(...args) {
        const self = this.running("sub", ...args);
        const probe = args[0].replace(/\/?#$/, "") || "probe";
        /* Volatile events are printed once it listens and are logged nowhere. */
        await until(() => `the subscriber to listen; it said ${self.err}`, async () => {
            await this.tidemark("pub", probe, "probe", "--volatile");
            return self.out.includes('"probe"');
        });
        self.events = () => self.lines().map((line) => JSON.parse(line)).filter(({ event }) => event !== "probe");
        return self;
    }
}

/* The least of a ZMTP 3.0 peer (rfc.zeromq.org/spec/23), a DEALER; it sends what it is told to. */
export class Stranger {
    static async connect(t, port) {
        const self = new Stranger();
        self.received = [];
        self.bytes = Buffer.alloc(0);
        self.hasGreeting = self.isReady = self.isClosed = false;
        self.socket = net.connect(port, "127.0.0.1");
        t.after(() => self.socket.destroy());
        self.socket.on("error", () => {});
        self.socket.on("close", () => { self.isClosed = true; });
        self.socket.on("data", (data) => self.take(data));
        const greeting = Buffer.alloc(64);
        greeting[0] = 0xff;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting.write("NULL", 12);
        self.socket.write(greeting);
        self.command("READY", Buffer.concat([name("Socket-Type"), value("DEALER")]));
        await until("the handshake", () => self.isReady || self.isClosed);
        return self;
    }

    command(what, body) {
        const all = Buffer.concat([name(what), body]);
        this.socket.write(Buffer.concat([Buffer.from([4, all.length]), all]));
    }

    /* One message of these frames. */
    send(...frames) {
        frames.forEach((frame, at) => {
            const bytes = Buffer.from(frame);
            const head = Buffer.alloc(9);
            head[0] = (at < frames.length - 1 ? 1 : 0) | 2;
            head.writeBigUInt64BE(BigInt(bytes.length), 1);
            this.socket.write(Buffer.concat([head, bytes]));
        });
    }

    take(data) {
        this.bytes = Buffer.concat([this.bytes, data]);
        if (!this.hasGreeting) {
            if (this.bytes.length < 64)
                return;
            this.hasGreeting = true;
            this.bytes = this.bytes.subarray(64);
        }
        for (;;) {
            if (this.bytes.length < 2)
                return;
            const flags = this.bytes[0];
            const start = flags & 2 ? 9 : 2;
            if (this.bytes.length < start)
                return;
            const size = flags & 2 ? Number(this.bytes.readBigUInt64BE(1)) : this.bytes[1];
            if (this.bytes.length < start + size)
                return;
            this.frame(flags, this.bytes.subarray(start, start + size));
            this.bytes = this.bytes.subarray(start + size);
        }
    }

    frame(flags, body) {
        if (!(flags & 4))
            this.received.push(Buffer.from(body));
        else if (body.subarray(1, 6).toString() === "READY")
            this.isReady = true;
        else if (body.subarray(1, 5).toString() === "PING")
            this.command("PONG", body.subarray(7));
    }

    /* The FAILs that came, as their code's number and their text. */
    refusals() {
        return this.received.filter((body) => body[3] === 8).map((body) => ({
            code: body[12], text: body.subarray(31).toString() }));
    }
}

function name(text) {
    return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
}

function value(text) {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    return Buffer.concat([size, Buffer.from(text)]);
}
