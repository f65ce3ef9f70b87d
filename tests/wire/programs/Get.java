import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Prints what a URL gives, asked for with one of Java's own two clients. */
public class Get {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[1]);
        if (arguments[0].equals("client")) {
            HttpRequest request = HttpRequest.newBuilder(uri).version(HttpClient.Version.HTTP_1_1).build();
            System.out.print(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body());
        } else {
            try (InputStream body = ((HttpURLConnection) uri.toURL().openConnection()).getInputStream()) {
                body.transferTo(System.out);
            }
            System.out.flush();
        }
    }
}
