// Switches on integers and strings, classes, templates, closures, exceptions, ranges and formatted output.
module kinds;

import std.algorithm : map, sort, sum;
import std.array : array;
import std.conv : to;
import std.format : format;
import std.stdio : writefln, writeln;

enum Day { monday, tuesday, wednesday, thursday, friday, saturday, sunday }

interface Shape { double area(); string name(); }

class Circle : Shape {
    private double radius;
    this(double radius) { this.radius = radius; }
    double area() { return 3.14 * radius * radius; }
    string name() { return "circle"; }
}

class Square : Shape {
    private double side;
    this(double side) { this.side = side; }
    double area() { return side * side; }
    string name() { return "square"; }
}

class Rest : Exception { this(string text) { super(text); } }

pragma(inline, false) int hours(Day day, int count) {
    final switch (day) {
        case Day.monday: return count;
        case Day.tuesday: return count + 1;
        case Day.wednesday: return count * 2;
        case Day.thursday: writeln("Thursday"); return count - 3;
        case Day.friday: return count / 2;
        case Day.saturday: return 0;
        case Day.sunday: throw new Rest("no work");
    }
}

pragma(inline, false) int keyword(string word) {
    switch (word) {
        case "if": return 1;
        case "else": return 2;
        case "foreach": return 3;
        case "while": return 4;
        case "mixin": return 5;
        case "template": return 6;
        default: return 0;
    }
}

T largest(T)(T[] items) {
    T best = items[0];
    foreach (item; items) if (best < item) best = item;
    return best;
}

int delegate() counter(int step) {
    int count = 0;
    return () { count += step; return count; };
}

void main(string[] arguments) {
    auto next = counter(arguments.length.to!int);
    Shape[] shapes;
    shapes ~= new Circle(1.5);
    shapes ~= new Square(2);
    shapes.sort!((left, right) => left.area < right.area);
    writefln("%s %.2f", shapes[0].name, shapes.map!(shape => shape.area).sum);
    writeln(largest([3, 1, 2]), largest(["one", "two"]), keyword(arguments[0]), next(), next());
    int[string] counts;
    foreach (word; ["one", "two", "one"]) counts[word]++;
    writeln(counts.keys.array.sort, format("%(%s, %)", counts.values));
    scope (exit) writeln("end");
    try {
        foreach (day; Day.monday .. Day.sunday) writeln(day, hours(day, next()));
        hours(Day.sunday, 1);
    } catch (Rest rest) {
        writeln(rest.msg);
    }
}
