// The room of examples/events in C#, with nothing but .NET: prints what is said there, and says
// each line of its input.
//
//     cd examples/csharp/room && dotnet run [ws://localhost:8091/room]
//
// It speaks signalbox.v1 over a ClientWebSocket. Whatever connection is lost, what comes is printed
// once and in order, because it resumes behind the last message that it saw; and each line is
// published once, because a line that was not acknowledged is said again under the same id.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

class Room
{
    const int Window = 64; // lines on their way; the server remembers the answers to the latest 128
    // For an answer: it may be lost although the connection lives.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    class Line
    {
        public string Id, Text;
        public DateTime Since = DateTime.UtcNow;
    }

    readonly string url;
    readonly object gate = new object();              // of what follows
    readonly List<Line> waiting = new List<Line>();   // not acknowledged yet, in order
    readonly SemaphoreSlim window = new SemaphoreSlim(Window);
    readonly SemaphoreSlim sending = new SemaphoreSlim(1); // one send at a time
    readonly Random random = new Random();
    ClientWebSocket open;     // after its hello
    string token, position;   // who we are, and the latest id of the stream
    TimeSpan remembered;      // how long the server knows the answer to an id
    DateTime asked;           // when all that waits was last said
    TimeSpan retry;
    bool isOver;

    Room(string url) { this.url = url; }

    static async Task Main(string[] args)
    {
        var room = new Room(args.Length > 0 ? args[0] : "ws://localhost:8091/room");
        var _ = Task.Run(room.ReadInput);
        while (!room.isOver)
        {
            room.retry = TimeSpan.FromMilliseconds(room.random.Next(500, 1500));
            try { await room.Listen(); }
            catch (Exception e)
                when (e is WebSocketException || e is OperationCanceledException)
            {
                Console.Error.WriteLine($"({e.Message})");
            }
            lock (room.gate) room.open = null;
            if (!room.isOver) await Task.Delay(room.retry);
        }
    }

    // One connection, until it ends.
    async Task Listen()
    {
        using (var socket = new ClientWebSocket())
        {
            socket.Options.AddSubProtocol("signalbox.v1");
            var resume = token + "~" + position;
            var query = token == null ? "" : "?signalbox-resume=" + Uri.EscapeDataString(resume);
            using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20)))
                await socket.ConnectAsync(new Uri(url + query), patience.Token);
            for (string text; (text = await ReadText(socket)) != null;)
                using (var frame = JsonDocument.Parse(text))
                    await OnFrame(socket, frame.RootElement);
        }
    }

    // The next message; null at the end. The server sends something every 15 seconds: a longer
    // silence is a dead connection.
    static async Task<string> ReadText(ClientWebSocket socket)
    {
        var buffer = new byte[8192];
        var bytes = new ArraySegment<byte>(buffer);
        using (var message = new MemoryStream())
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(45)))
            while (true)
            {
                var part = await socket.ReceiveAsync(bytes, patience.Token);
                if (part.MessageType == WebSocketMessageType.Close) return null;
                message.Write(buffer, 0, part.Count);
                if (part.EndOfMessage) return Encoding.UTF8.GetString(message.ToArray());
            }
    }

    async Task OnFrame(ClientWebSocket socket, JsonElement frame)
    {
        switch (frame.GetProperty("type").GetString())
        {
            case "hello":
                await OnHello(socket, frame);
                break;
            case "message":
                position = frame.GetProperty("id").GetString();
                Console.WriteLine(frame.GetProperty("data").GetRawText());
                break;
            case "position":
                position = frame.GetProperty("id").GetString();
                break;
            case "ack":
                Settle(frame.GetProperty("ref").GetString());
                break;
            case "error":
                await OnError(socket, frame);
                break;
            case "closed": // without retryMs the server does not want us back
                isOver = !frame.TryGetProperty("retryMs", out var wait);
                if (!isOver) retry = TimeSpan.FromMilliseconds(wait.GetDouble());
                break;
        }
        if (IsLate()) await SayWaiting(socket);
    }

    async Task OnHello(ClientWebSocket socket, JsonElement hello)
    {
        var recovered = hello.GetProperty("recovered");
        if (recovered.ValueKind == JsonValueKind.False)
            Console.WriteLine("(messages are missing here)");
        if (recovered.ValueKind != JsonValueKind.True)
            position = hello.GetProperty("id").GetString();
        // else what was missed follows, and the position moves with it
        token = hello.GetProperty("resume").GetString();
        var limits = hello.GetProperty("limits");
        remembered = TimeSpan.FromSeconds(limits.GetProperty("idSeconds").GetDouble());

        ForgetOld();
        await SayWaiting(socket);
    }

    bool IsLate()
    {
        lock (gate)
        {
            if (open == null || waiting.Count == 0) return false;
            var since = waiting[0].Since > asked ? waiting[0].Since : asked;
            return DateTime.UtcNow - since > Patience;
        }
    }

    // All of it in its order, and what is added meanwhile. From then on lines go as they come.
    async Task SayWaiting(ClientWebSocket socket)
    {
        asked = DateTime.UtcNow;
        for (var at = 0; ; at++)
        {
            Line line;
            lock (gate)
            {
                if (at == waiting.Count)
                {
                    open = socket;
                    return;
                }
                line = waiting[at];
            }
            await Send(socket, line);
        }
    }

    // An answer that the server may have forgotten: to say the line again could publish it twice.
    void ForgetOld()
    {
        Line[] old;
        lock (gate)
            old = waiting.Where(line => DateTime.UtcNow - line.Since > remembered).ToArray();
        foreach (var line in old)
        {
            Console.Error.WriteLine($"(nobody knows whether this was said: {line.Text})");
            Settle(line.Id);
        }
    }

    async Task OnError(ClientWebSocket socket, JsonElement error)
    {
        var id = error.GetProperty("ref").GetString();
        if (error.TryGetProperty("retryMs", out var wait))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(wait.GetDouble()));
            Line line;
            lock (gate) line = waiting.Find(one => one.Id == id);
            if (line != null) await Send(socket, line);
            return;
        }
        Console.Error.WriteLine($"(refused: {error.GetProperty("message").GetString()})");
        Settle(id);
    }

    // -- what we say

    async Task ReadInput()
    {
        for (string text; (text = Console.In.ReadLine()) != null;)
        {
            var line = new Line { Id = Guid.NewGuid().ToString(), Text = text };
            await window.WaitAsync();
            ClientWebSocket socket;
            lock (gate)
            {
                waiting.Add(line);
                socket = open;
            }
            if (socket != null) await Send(socket, line); // else the next connection sends it
        }
    }

    async Task Send(ClientWebSocket socket, Line line)
    {
        var message = new { message = line.Text, @ref = line.Id, id = line.Id };
        var bytes = new ArraySegment<byte>(JsonSerializer.SerializeToUtf8Bytes(message));
        await sending.WaitAsync();
        try
        {
            await socket.SendAsync(bytes, WebSocketMessageType.Text, true, CancellationToken.None);
        }
        catch (Exception e) when (e is WebSocketException || e is InvalidOperationException)
        {
            // the connection has ended; the next one sends it again
        }
        finally { sending.Release(); }
    }

    void Settle(string id)
    {
        lock (gate)
            if (waiting.RemoveAll(line => line.Id == id) == 0) return;
        window.Release();
    }
}
