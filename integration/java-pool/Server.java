/* SPDX-License-Identifier: MIT
 *
 * Serves the files of ./www: Server pool PORT, the JDK's HTTP server with a thread for each request in a cached pool;
 * Server accept PORT, a new thread for each connection.
 */
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;

public class Server {
	static final InetAddress HERE = InetAddress.getLoopbackAddress();

	static byte[] file(String target) throws IOException {
		Path path = Path.of("www").resolve(target.substring(target.lastIndexOf('/') + 1));
		return Files.isRegularFile(path) ? Files.readAllBytes(path) : null;
	}

	static void pool(int port) throws IOException {
		HttpServer server = HttpServer.create(new InetSocketAddress(HERE, port), 1024);
		server.createContext("/", exchange -> {
			byte[] content = file(exchange.getRequestURI().getPath());
			exchange.sendResponseHeaders(content == null ? 404 : 200,
						     content == null || content.length == 0 ? -1 : content.length);
			if (content != null)
				exchange.getResponseBody().write(content);
			exchange.close();
		});
		server.setExecutor(Executors.newCachedThreadPool());
		server.start();
	}

	static String line(InputStream in) throws IOException {
		StringBuilder line = new StringBuilder();
		for (int c; (c = in.read()) >= 0 && c != '\n';)
			if (c != '\r')
				line.append((char)c);
		return line.toString();
	}

	static void serve(Socket socket) {
		try (socket) {
			InputStream in = new BufferedInputStream(socket.getInputStream());
			OutputStream out = socket.getOutputStream();
			boolean close = false;
			for (String request; !close && !(request = line(in)).isEmpty();) {
				for (String header; !(header = line(in)).isEmpty();)
					close |= header.equalsIgnoreCase("Connection: close");
				byte[] content = file(request.split(" ")[1]);
				byte[] body = content == null ? new byte[0] : content;
				byte[] head = ("HTTP/1.1 " + (content == null ? "404 Not Found" : "200 OK") +
					       "\r\nContent-Length: " + body.length + "\r\n\r\n").getBytes();
				byte[] answer = java.util.Arrays.copyOf(head, head.length + body.length);
				System.arraycopy(body, 0, answer, head.length, body.length);
				out.write(answer);
			}
		} catch (IOException e) {
			System.err.println("connection: " + e.getMessage());
		}
	}

	static void accept(int port) throws IOException {
		try (ServerSocket server = new ServerSocket(port, 1024, HERE)) {
			for (;;) {
				Socket socket = server.accept();
				new Thread(() -> serve(socket)).start();
			}
		}
	}

	public static void main(String[] args) throws IOException {
		if (args[0].equals("pool"))
			pool(Integer.parseInt(args[1]));
		else
			accept(Integer.parseInt(args[1]));
	}
}
