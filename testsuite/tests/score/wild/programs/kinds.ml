(* Variants, strings, exceptions, closures, functors, polymorphic functions and formatted output. *)

type shape =
  | Point
  | Circle of float
  | Square of float
  | Rectangle of float * float
  | Group of shape list
  | Named of string * shape

exception Empty of string

module type ORDER = sig
  type t
  val compare : t -> t -> int
end

module Pairs (Order : ORDER) = struct
  module Keys = Map.Make (Order)
  let count items =
    List.fold_left
      (fun keys item ->
        let old = try Keys.find item keys with Not_found -> 0 in
        Keys.add item (old + 1) keys)
      Keys.empty items
end

module Words = Pairs (String)

let rec area shape =
  match shape with
  | Point -> 0.0
  | Circle radius -> 3.14 *. radius *. radius
  | Square side -> side *. side
  | Rectangle (width, height) -> width *. height
  | Group [] -> raise (Empty "group")
  | Group shapes -> List.fold_left (fun total shape -> total +. area shape) 0.0 shapes
  | Named (name, shape) -> Printf.printf "%s\n" name; area shape

let keyword = function
  | "let" -> 1 | "rec" -> 2 | "match" -> 3 | "with" -> 4 | "function" -> 5
  | "exception" -> 6 | "module" -> 7 | "struct" -> 8 | "end" -> 9 | _ -> 0

let digit = function
  | 0 -> "zero" | 1 -> "one" | 2 -> "two" | 3 -> "three" | 4 -> "four"
  | 5 -> "five" | 6 -> "six" | 7 -> "seven" | 8 -> "eight" | number -> string_of_int number

let compose functions = List.fold_left (fun result next value -> next (result value)) (fun value -> value) functions

class counter step = object
  val mutable count = 0
  method next = count <- count + step; count
end

let () =
  let shapes = [Point; Circle 1.5; Named ("box", Square 2.0); Rectangle (2.0, 3.0)] in
  Printf.printf "%.2f\n" (area (Group shapes));
  (try ignore (area (Group [])) with Empty what -> Printf.printf "empty %s\n" what);
  let counts = Words.count ["one"; "two"; "one"; "three"] in
  Words.Keys.iter (fun word count -> Printf.printf "%s: %d\n" word count) counts;
  let twice = compose [(fun x -> x * 2); (fun x -> x + 1)] in
  let counter = new counter 3 in
  Printf.printf "%d %s %d %d\n" (twice 20) (digit (twice 3)) (keyword Sys.argv.(0)) counter#next;
  let table = Hashtbl.create 10 in
  Hashtbl.add table "key" (Buffer.create 16);
  Format.printf "@[<v>%a@]@." (Format.pp_print_list Format.pp_print_string) (List.map digit [1; 2; 3])
