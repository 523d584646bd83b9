/* The program that docs/CAPTURE.md captures. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    int number;
    char name[28];
};

int finished;

static void fill(char *line, int size, int number) {
    for (int index = 0; index < size; index++)
        line[index] = number;
}

static void work(struct job *job) {
    char line[64];
    fill(line, sizeof line, job->number);
    usleep(20000);
    finished += line[0] == job->number;
}

int main(void) {
    for (int number = 1; number <= 25; number++) {
        struct job *job = malloc(sizeof *job);
        job->number = number;
        strcpy(job->name, "a job that is never freed");
        work(job);
    }
    return 0;
}
