// As much of the edge runtime as the tests' function needs: Deno.env and Deno.serve over node's own server.
import http from "node:http";

globalThis.Deno = {
  env: { get: (name) => process.env[name] },
  serve: (handler) => {
    const server = http.createServer(async (request, response) => {
      const answer = await handler(new Request(`http://edge${request.url}`, { method: request.method }));
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  },
};

await import(process.argv[2]);
