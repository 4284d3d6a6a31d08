// Publishes a message from a program that is no client, to the HTTP API of an admin listener.
//
//     cd examples/csharp/publish
//     dotnet run http://127.0.0.1:9090 Room '{"from":"csharp","text":"hello"}' [KEY]
//
// It tries until the message is accepted. Since each attempt has the same key, the message is
// published once, however many of them got through. KEY is that key, for a message that has a
// natural one, such as the number of an order. SIGNALBOX_TOKEN is the admin token (`signalbox up`
// keeps it in .signalbox/admin-token).
using System;
using System.Net.Http;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;

class Publish
{
    static readonly string token = Environment.GetEnvironmentVariable("SIGNALBOX_TOKEN");
    static readonly HttpClient http = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };

    static async Task<int> Main(string[] args)
    {
        if (args.Length < 3 || args.Length > 4)
        {
            Console.Error.WriteLine("usage: publish URL NAME JSON [KEY]");
            return 2;
        }
        var key = args.Length > 3 ? args[3] : Guid.NewGuid().ToString();
        var body = $"{{\"name\":{JsonSerializer.Serialize(args[1])},\"data\":{args[2]}}}";
        while (true)
        {
            var status = await Post(args[0] + "/send", body, key);
            if (status == 202) return 0;
            if (status != 0 && status != 429 && status < 500) return 1; // it never will be
            await Task.Delay(1000);
        }
    }

    // The status of the answer, 0 when there was none.
    static async Task<int> Post(string url, string body, string key)
    {
        try
        {
            using (var request = new HttpRequestMessage(HttpMethod.Post, url))
            {
                request.Headers.Add("Authorization", "Bearer " + token);
                request.Headers.Add("Idempotency-Key", key);
                request.Content = new StringContent(body, Encoding.UTF8, "application/json");
                using (var answer = await http.SendAsync(request))
                {
                    Console.WriteLine(await answer.Content.ReadAsStringAsync());
                    return (int)answer.StatusCode;
                }
            }
        }
        catch (Exception e) when (e is HttpRequestException || e is TaskCanceledException)
        {
            Console.Error.WriteLine($"({e.Message})");
            return 0;
        }
    }
}
