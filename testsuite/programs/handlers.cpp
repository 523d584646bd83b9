// What Microsoft's C and C++ handle when something is thrown, without their libraries.

struct Guard {
    int value;
    ~Guard();
};

extern "C" {
int __CxxFrameHandler3() { return 1; }
int __C_specific_handler() { return 1; }
void _CxxThrowException(void *, void *) {}
int work(int number) { return number + 1; }
int filter(int number) { return number & 1; }
void done(int) {}
}

// What is called is not known, and may throw.
int (*volatile step)(int) = work;
void (*volatile last)(int) = done;

Guard::~Guard() { last(value); }

int caught(int number) {
    Guard guard = {number};
    try {
        Guard inner = {step(number)};
        try {
            number = step(number);
        } catch (char character) {
            number += character;
        }
    } catch (int other) {
        return step(other);
    } catch (...) {
        number = 7;
    }
    return step(number);
}

int handled(int number) {
    __try {
        number = step(number);
        __try {
            number += step(number);
        } __finally {
            last(number);
        }
    } __except (filter(number)) {
        number = -1;
    }
    return number;
}

extern "C" int entry() { return caught(1) + handled(2); }
