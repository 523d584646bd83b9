// Switches on integers, enumerations and tagged unions, errors, generics, comptime and formatted output.
const std = @import("std");

const Day = enum(u8) { monday, tuesday, wednesday, thursday, friday, saturday, sunday };

const Shape = union(enum) {
    point,
    circle: f64,
    square: f64,
    rectangle: struct { width: f64, height: f64 },

    fn area(shape: Shape) f64 {
        return switch (shape) {
            .point => 0,
            .circle => |radius| 3.14 * radius * radius,
            .square => |side| side * side,
            .rectangle => |sides| sides.width * sides.height,
        };
    }
};

noinline fn hours(day: Day, count: i64) error{Rest}!i64 {
    return switch (day) {
        .monday => count,
        .tuesday => count + 1,
        .wednesday => count *% 2,
        .thursday => count - 3,
        .friday => @divTrunc(count, 2),
        .saturday => 0,
        .sunday => error.Rest,
    };
}

noinline fn digit(character: u8) ?u8 {
    return switch (character) {
        '0'...'9' => character - '0',
        'a'...'f' => character - 'a' + 10,
        'x' => 40,
        'y' => 51,
        'z' => 66,
        else => null,
    };
}

fn largest(comptime T: type, items: []const T) T {
    var best = items[0];
    for (items) |item| {
        if (item > best) best = item;
    }
    return best;
}

pub fn main() void {
    var seed: u64 = @intFromPtr(&digit);
    seed = seed *% 6364136223846793005 +% 1442695040888963407;
    const day: Day = @enumFromInt(seed % 7);
    const shapes = [_]Shape{ .point, .{ .circle = 1.5 }, .{ .square = 2 }, .{ .rectangle = .{ .width = 2, .height = 3 } } };
    std.debug.print("{d:.2} {?d}\n", .{ shapes[seed % 4].area(), digit(@truncate(seed >> 8)) });
    std.debug.print("{d} {d:.1}\n", .{ largest(u32, &.{ 3, 1, 2 }), largest(f64, &.{ 1.5, 2.5 }) });
    const worked = hours(day, 7) catch |failure| {
        std.debug.print("{s} {s}\n", .{ @errorName(failure), @tagName(day) });
        return;
    };
    std.debug.print("{d}\n", .{worked});
}
