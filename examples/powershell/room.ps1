<#
.SYNOPSIS
The room of examples/events in PowerShell 7: prints what is said there, and says each line of its
input.

.DESCRIPTION
It speaks signalbox.v1 over a ClientWebSocket. Whatever connection is lost, what comes is printed
once and in order, because it resumes behind the last message that it saw; and each line is
published once, because a line that was not acknowledged is said again under the same id.

.EXAMPLE
./room.ps1 -Url ws://localhost:8091/room
#>
param([string] $Url = 'ws://localhost:8091/room')

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$window = 64                # lines on their way; the server remembers the answers to the latest 128
$token = $null              # who we are
$position = $null           # the latest id of the stream
$asked = [DateTime]::MinValue               # when all that waits was last said
$patience = [TimeSpan]::FromSeconds(10)     # for an answer, which may be lost on its way
$waiting = [ordered] @{}    # id -> the line and when it was first said, until it is acknowledged
$keyboard = [System.IO.StreamReader]::new([Console]::OpenStandardInput())
$line = $keyboard.ReadLineAsync()
$none = [System.Threading.CancellationToken]::None

function Send-Line($Socket, [string] $Id) {
    $text = @{ message = $waiting[$Id].Text; ref = $Id; id = $Id } | ConvertTo-Json -Compress
    $bytes = [ArraySegment[byte]]::new([System.Text.Encoding]::UTF8.GetBytes($text))
    $null = $Socket.SendAsync($bytes, 'Text', $true, $none).GetAwaiter().GetResult()
}

# Says everything that was not acknowledged, except what the server may have forgotten: that could
# be published twice.
function Send-Waiting($Socket, [double] $RememberedSeconds) {
    $script:asked = Get-Date
    foreach ($id in @($waiting.Keys)) {
        if (((Get-Date) - $waiting[$id].Since).TotalSeconds -gt $RememberedSeconds) {
            $text = $waiting[$id].Text
            [Console]::Error.WriteLine("(nobody knows whether this was said: $text)")
            $waiting.Remove($id)
        } else {
            Send-Line $Socket $id
        }
    }
}

# One connection, until it ends. Returns in how many milliseconds to come back; nothing when the
# server wants no more.
function Receive-Room {
    $retry = Get-Random -Minimum 500 -Maximum 1500
    $socket = [System.Net.WebSockets.ClientWebSocket]::new()
    try {
        $socket.Options.AddSubProtocol('signalbox.v1')
        $query = ''
        if ($token) { $query = '?signalbox-resume=' + [Uri]::EscapeDataString("$token~$position") }
        $null = $socket.ConnectAsync([Uri] "$Url$query", $none).GetAwaiter().GetResult()

        $buffer = [byte[]]::new(8192)
        $message = [System.IO.MemoryStream]::new()
        $isOpen = $false  # after its hello
        $received = $socket.ReceiveAsync([ArraySegment[byte]]::new($buffer), $none)
        while ($true) {
            # The next of two: a part of a message, or a line, which waits while too much is on its
            # way.
            [System.Threading.Tasks.Task[]] $tasks = @($received)
            if ($isOpen -and $script:line -and $waiting.Count -lt $window) {
                $tasks += $script:line
            }
            $which = [System.Threading.Tasks.Task]::WaitAny($tasks, 45000)
            if ($which -lt 0) { throw [System.IO.IOException]::new('the server is silent') }
            if ($which -eq 1) {
                $text = $script:line.GetAwaiter().GetResult()
                $script:line = if ($null -ne $text) { $keyboard.ReadLineAsync() }
                if ($null -ne $text) {
                    $id = [guid]::NewGuid().ToString()
                    $waiting[$id] = @{ Text = $text; Since = Get-Date }
                    Send-Line $socket $id
                }
                continue
            }

            $part = $received.GetAwaiter().GetResult()
            if ($part.MessageType -eq 'Close') { return $retry }
            $message.Write($buffer, 0, $part.Count)
            $received = $socket.ReceiveAsync([ArraySegment[byte]]::new($buffer), $none)
            if (-not $part.EndOfMessage) { continue }
            $json = [System.Text.Encoding]::UTF8.GetString($message.ToArray())
            $message.SetLength(0)

            $frame = $json | ConvertFrom-Json -AsHashtable
            switch ($frame.type) {
                'hello' {
                    if ($frame.recovered -eq $false) {
                        [Console]::WriteLine('(messages are missing here)')
                    }
                    # Once recovered, what was missed follows, and the position moves with it.
                    if (-not $frame.recovered) { $script:position = $frame.id }
                    $script:token = $frame.resume
                    $remembered = $frame.limits.idSeconds
                    Send-Waiting $socket $remembered
                    $isOpen = $true
                }
                'message' {
                    $script:position = $frame.id
                    [Console]::WriteLine(($frame.data | ConvertTo-Json -Compress -Depth 100))
                }
                'position' { $script:position = $frame.id }
                'ack' { $waiting.Remove($frame.ref) }
                'error' {
                    if ($frame.Contains('retryMs')) {
                        Start-Sleep -Milliseconds $frame.retryMs
                        Send-Line $socket $frame.ref
                    } else {
                        [Console]::Error.WriteLine("(refused: $($frame.message))")
                        $waiting.Remove($frame.ref)
                    }
                }
                'closed' {
                    if (-not $frame.Contains('retryMs')) { return }
                    $retry = $frame.retryMs
                }
            }

            if ($isOpen -and $waiting.Count -gt 0) {
                $since = @($waiting.Values)[0].Since
                if ($since -lt $asked) { $since = $asked }
                if ((Get-Date) - $since -gt $patience) { Send-Waiting $socket $remembered }
            }
        }
    } catch [System.Net.WebSockets.WebSocketException], [System.IO.IOException] {
        [Console]::Error.WriteLine("($($_.Exception.Message))")
        return $retry
    } finally {
        $socket.Dispose()
    }
}

while ($null -ne ($pause = Receive-Room)) {
    Start-Sleep -Milliseconds $pause
}
