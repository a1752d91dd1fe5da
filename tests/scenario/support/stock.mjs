// The stock clients of several years, and what one wants of them by promise: the old ones know none.
// SPDX-License-Identifier: MIT
import { io as newest } from "socket.io-client-4.8";
import { io as first4 } from "socket.io-client-4.0";
import { io as last3 } from "socket.io-client-3.1";

import { until, wait } from "./tidemark.mjs";

export const VERSIONS = { "4.8": newest, "4.0": first4, 3.1: last3 };
export const WAYS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

/* Runs `define(name, version, way)` for every pair. */
export function everyClient(define) {
    for (const version of Object.keys(VERSIONS).sort().reverse())
        for (const way of Object.keys(WAYS))
            define(`client ${version}, ${way}`, version, way);
}

/* A manager's root client, connected or not; `url` may name a namespace behind the address. */
export function client(t, url, { version = "4.8", way = "upgrade", ...options } = {}) {
    const socket = VERSIONS[version](url, { forceNew: true, transports: WAYS[way], reconnectionDelay: 20,
        reconnectionDelayMax: 100, randomizationFactor: 0, ...options });
    t.after(() => socket.disconnect());
    return socket;
}

/* Another namespace on the same connection. */
export function besides(t, socket, nsp, options) {
    const other = socket.io.socket(nsp, options);
    t.after(() => other.disconnect());
    return other;
}

export async function connected(socket, timeoutMs = 20000) {
    await until(() => `${socket.nsp} to connect`, () => socket.connected, timeoutMs);
    return socket;
}

/* Until the client is on WebSocket, where it is to get there at all. */
export async function settled(socket, way) {
    await connected(socket);
    if (way !== "polling")
        await until("the upgrade", () => socket.io.engine?.transport.name === "websocket");
    return socket;
}

/* The arguments of the next such event. */
export function once(socket, event, timeoutMs = 10000) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
            socket.off(event, take);
            reject(new Error(`waited ${timeoutMs} ms in vain for ${event}`));
        }, timeoutMs);
        const take = (...args) => {
            clearTimeout(timer);
            resolve(args);
        };
        socket.once(event, take);
    });
}

/* Emits, and resolves with the acknowledgement's arguments. */
export function call(socket, event, ...args) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no acknowledgement of ${event} in 10 s`)), 10000);
        socket.emit(event, ...args, (...answer) => {
            clearTimeout(timer);
            resolve(answer);
        });
    });
}

/* Keeps the events of these names: [name, ...arguments]. */
export function heard(socket, ...names) {
    const events = [];
    for (const name of names)
        socket.on(name, (...args) => events.push([name, ...args]));
    return events;
}

export { wait };
