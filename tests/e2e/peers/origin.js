// node-media-server as an origin: RTMP in, HTTP-FLV out. Run as: node origin.js '{"bind": ..., "rtmp": {"port": ...}, ...}'
"use strict";
const NodeMediaServer = require("node-media-server");
new NodeMediaServer(JSON.parse(process.argv[2])).run();
