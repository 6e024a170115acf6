// Says of every request what it saw: method, target, length and digest of the
// body, and the id. Listens on the Unix socket that it is given.
"use strict";
const { createHash } = require("node:crypto");
const { createServer } = require("node:http");

const server = createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 60_000 }, (request, response) => {
  const digest = createHash("sha1");
  let length = 0;
  request.on("data", (data) => {
    digest.update(data);
    length += data.length;
  });
  request.on("end", () => {
    const id = request.headers["x-request-id"];
    const seen = [request.method, request.url, length, digest.digest("hex"), id].join(" ");
    response.writeHead(200, { "x-seen": seen, "content-length": 0 }).end();
  });
});
server.maxHeadersCount = 0;
server.listen(process.argv[2]);
