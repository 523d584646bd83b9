// Switches, virtual functions, several bases, exceptions, closures, templates, containers and streams.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

enum class Day { Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday };

struct Rest : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Named {
    virtual ~Named() = default;
    virtual std::string name() const { return "something"; }
};

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Circle : Shape, Named {
    double radius;
    explicit Circle(double radius) : radius(radius) {}
    double area() const override { return 3.14 * radius * radius; }
    std::string name() const override { return "circle"; }
};

struct Square : Named, virtual Shape {
    double side;
    explicit Square(double side) : side(side) {}
    double area() const override { return side * side; }
};

__attribute__((noinline)) int hours(Day day, int count) {
    switch (day) {
    case Day::Monday: return count;
    case Day::Tuesday: return count + 1;
    case Day::Wednesday: return count * 2;
    case Day::Thursday: std::cout << "Thursday\n"; return count - 3;
    case Day::Friday: return count / 2;
    case Day::Saturday: return 0;
    case Day::Sunday: throw Rest("no work");
    }
    return -1;
}

__attribute__((noinline)) int digit(char character) {
    switch (character) {
    case '0': return 4;
    case '1': return 17;
    case '2': std::cout << "two"; return 2;
    case '3': return hours(Day::Monday, character);
    case '4': throw std::out_of_range("four");
    case '5': return -5;
    case '6': return 12;
    }
    return 0;
}

struct Guard {
    std::string text;
    ~Guard() { std::cout << "end of " << text << '\n'; }
};

template <typename T> __attribute__((noinline)) T largest(const std::vector<T> &items) {
    return *std::max_element(items.begin(), items.end());
}

std::function<int()> counter(int step) {
    return [count = 0, step]() mutable { return count += step; };
}

int main(int count, char **arguments) {
    Guard guard{"main"};
    auto next = counter(count);
    std::vector<std::unique_ptr<Shape>> shapes;
    shapes.push_back(std::make_unique<Circle>(1.5));
    shapes.push_back(std::make_unique<Square>(2));
    std::sort(shapes.begin(), shapes.end(), [](auto &left, auto &right) { return left->area() < right->area(); });
    for (auto &shape : shapes) {
        auto *named = dynamic_cast<Named *>(shape.get());
        std::cout << (named ? named->name() : "none") << ' ' << shape->area() << '\n';
    }
    std::map<std::string, int> counts;
    for (auto word : {"one", "two", "one"}) counts[word]++;
    std::ostringstream text;
    for (auto &[word, number] : counts) text << word << '=' << number << ' ';
    std::cout << text.str() << largest<int>({3, 1, 2}) << largest<std::string>({"one", "two"}) << next() << '\n';
    try {
        Guard inner{"days"};
        std::cout << digit(arguments[0][0]) << '\n';
        for (int day = 0; day < 7; day++) std::cout << hours(static_cast<Day>(day), next()) << '\n';
    } catch (const Rest &rest) {
        std::cout << rest.what() << '\n';
    } catch (...) {
        return 1;
    }
    return 0;
}
