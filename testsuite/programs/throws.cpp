// Functions that exceptions pass, with landing pads and without.

struct Number { virtual ~Number(); int value; };
Number::~Number() {}

void may_throw(int);

namespace numbers {
int caught(int number) {
    try {
        may_throw(number);
    } catch (Number &thrown) {
        return thrown.value;
    } catch (...) {
        return 1;
    }
    return 0;
}
}

int cleaned_up(int number) {
    Number local;
    may_throw(number);
    return numbers::caught(number);
}

int passed(int number) {
    may_throw(number);
    may_throw(number + 1);
    return 2;
}
