#!/bin/bash
# A worker that does the jobs it finds in its queue. Whoever can write there has it do what he likes.
trap 'echo stopped >> /srv/jobs/log; exit 0' TERM
cd /srv/jobs
while :; do
    for job in queue/*.job; do
        [ -e "$job" ] || continue
        timeout 20 bash -e "$job" > "done/$(basename "$job").out" 2>&1
        echo "$? $job" >> log
        mv "$job" done/
    done
    sleep 0.1
done
