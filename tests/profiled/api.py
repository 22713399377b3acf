# An application in Python: keeps what it is sent, counts in Redis, and evaluates formulas, which is a hole.
import hashlib, http.server, json, os, socket, sys, tempfile, threading

FOLDER = "/srv/api/data"

def redis(*words):
    with socket.create_connection((os.environ["REDIS"], 6379), timeout=5) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return s.recv(4096)

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        with open("/srv/api/log", "a") as log:
            log.write(self.path + "\n")

    def answer(self, code, body=b""):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            if self.path == "/":
                return self.answer(200, b"ok\n")
            if self.path == "/count":
                return self.answer(200, redis(b"INCR", b"visits"))
            if self.path == "/list":
                return self.answer(200, "\n".join(sorted(os.listdir(FOLDER))).encode())
            with open(os.path.join(FOLDER, os.path.basename(self.path)), "rb") as file:
                return self.answer(200, file.read())
        except OSError as error:
            return self.answer(404, str(error).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/formula":
            # In a process of its own, so that a wrong one takes nothing with it.
            child = os.fork()
            if child == 0:
                try:
                    exec(body.decode(), {"json": json, "os": os})
                except BaseException as error:
                    sys.stderr.write("%r\n" % error)
                os._exit(0)
            os.waitpid(child, 0)
            return self.answer(204)
        name = hashlib.sha256(body).hexdigest()[:16]
        with tempfile.NamedTemporaryFile(dir=FOLDER, delete=False) as file:
            file.write(body)
        os.rename(file.name, os.path.join(FOLDER, name))
        self.answer(200, name.encode())

os.makedirs(FOLDER, exist_ok=True)
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
