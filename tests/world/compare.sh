#!/usr/bin/env bash
# compare.sh REAL SIMULATED: both programs say the same, whatever the seed of the second.
set -u
real=$("$1") || exit 1
for seed in 1 2 3 4 5 6 7 8; do
    diff <(echo "$real") <("$2" "$seed") || { echo "seed $seed: < libuv, > simulated"; exit 1; }
done
