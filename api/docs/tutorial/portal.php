<?php
// Settings → Authentication Methods → SMS → Enable, as a portal's backend does it.
//
//   export OTPOST_URL=http://127.0.0.1:8475 OTPOST_KEY=otp_live_…
//   php portal.php client-4711 +447700900123
//
// PHP 8.1 or later, and no extension but json.
declare(strict_types=1);

/** A refusal: application/problem+json (RFC 9457), whose code never changes. */
final class Refusal extends RuntimeException
{
    public function __construct(public readonly array $problem)
    {
        parent::__construct(($problem['code'] ?? 'unknown') . ': ' . ($problem['detail'] ?? $problem['title'] ?? ''));
    }
}

/** One request. With an idempotency key it may be repeated: the second time it only gets the first answer again. */
function call(string $method, string $path, array $body, ?string $key = null): array
{
    $fields = ['Authorization: Bearer ' . getenv('OTPOST_KEY'), 'Content-Type: application/json'];
    if ($key !== null) {
        $fields[] = 'Idempotency-Key: ' . $key;
    }
    $context = stream_context_create(['http' => [
        'method' => $method, 'header' => $fields, 'content' => json_encode($body, JSON_THROW_ON_ERROR),
        'ignore_errors' => true, 'timeout' => 15, 'follow_location' => 0,
    ]]);
    for ($try = 1; ; $try++) {
        $answer = @file_get_contents(getenv('OTPOST_URL') . $path, false, $context);
        if ($answer !== false) {
            break;
        }
        if ($key === null || $try === 3) {
            throw new RuntimeException('no answer from Otpost');
        }
    }
    $status = (int) explode(' ', $http_response_header[0])[1];
    $value = $answer === '' ? [] : json_decode($answer, true, 32, JSON_THROW_ON_ERROR);
    if ($status >= 400) {
        throw new Refusal($value);
    }
    return $value;
}

/** What the client types; in a portal it comes from a form. */
function ask(string $question): string
{
    echo $question;
    $line = fgets(STDIN);
    if ($line === false) {
        throw new RuntimeException('no input');
    }
    return trim($line);
}

function enable(string $account, string $phone): void
{
    $path = '/v1/accounts/' . rawurlencode($account);
    $pin = ask('Choose a PIN: ');
    call('PUT', "$path/pin", ['pin' => $pin]);

    $challenge = call('POST', "$path/sms/enable", ['phone' => $phone, 'client_ip' => '198.51.100.7'], bin2hex(random_bytes(16)));
    echo "A code is on its way to {$challenge['phone']}, valid until {$challenge['expires_at']}.\n";

    while (true) {
        $code = ask('Code: ');
        try {
            $state = call('POST', "$path/sms/enable/verify", ['code' => $code, 'pin' => $pin], bin2hex(random_bytes(16)));
            echo "SMS codes are on; the grade of $account is {$state['grade']}.\n";
            return;
        } catch (Refusal $refusal) {
            if ($refusal->problem['code'] !== 'verification-failed') {
                throw $refusal;
            }
            echo "The code or the PIN is wrong; {$refusal->problem['attempts_left']} attempts left.\n";
        }
    }
}

if ($argc !== 3) {
    fwrite(STDERR, "usage: php portal.php <account> <phone>\n");
    exit(2);
}
try {
    enable($argv[1], $argv[2]);
} catch (RuntimeException $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(1);
}
