<#
.SYNOPSIS
Publishes a message from a program that is no client, to the HTTP API of an admin listener.

.DESCRIPTION
It tries until the message is accepted. Since each attempt has the same key, the message is
published once, however many of them got through. -Key is for a message that has a natural one, such
as the number of an order. $env:SIGNALBOX_TOKEN is the admin token (`signalbox up` keeps it in
.signalbox/admin-token).

.EXAMPLE
./publish.ps1 -Url http://127.0.0.1:9090 -Name Room -Data @{ from = 'powershell'; text = 'hello' }
#>
param(
    [Parameter(Mandatory)] [string] $Url,
    [Parameter(Mandatory)] [string] $Name,
    [Parameter(Mandatory)] $Data,
    [string] $Key = [guid]::NewGuid().ToString()
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$request = @{
    Method             = 'Post'
    Uri                = "$Url/send"
    Headers            = @{
        'Authorization'   = "Bearer $env:SIGNALBOX_TOKEN"
        'Idempotency-Key' = $Key
    }
    ContentType        = 'application/json; charset=utf-8'
    Body               = @{ name = $Name; data = $Data } | ConvertTo-Json -Compress -Depth 100
    TimeoutSec         = 10
    SkipHttpErrorCheck = $true
    StatusCodeVariable = 'status'
}

while ($true) {
    try {
        $answer = Invoke-RestMethod @request
        if ($status -eq 202) { return $answer }
        if ($status -lt 500 -and $status -ne 429) {
            throw [System.InvalidOperationException]::new("refused: $status $answer")
        }
        Write-Warning "not accepted, trying again: $status $answer"
    } catch [System.Net.Http.HttpRequestException], [System.OperationCanceledException] {
        Write-Warning "no answer, trying again: $($_.Exception.Message)"
    }
    Start-Sleep -Seconds 1
}
