-- Algebraic data, type classes, strings, laziness, exceptions, mutable state and formatted output.
module Main (main) where

import Control.Exception
import Data.Char (ord)
import Data.IORef
import Data.List (sortBy)
import System.Environment (getArgs)
import Text.Printf (printf)

data Shape = Point | Circle Double | Square Double | Rectangle Double Double | Group [Shape] | Named String Shape
  deriving (Show, Eq, Ord)

data Day = Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday
  deriving (Show, Read, Eq, Ord, Enum, Bounded)

class Describe a where
  describe :: a -> String
  describe _ = "something"
  size :: a -> Int

instance Describe Shape where
  size (Group shapes) = sum (map size shapes)
  size _ = 1
  describe = show

instance Describe Day where
  size = fromEnum

instance Describe a => Describe [a] where
  describe = concatMap describe
  size = sum . map size

area :: Shape -> Double
area Point = 0
area (Circle radius) = pi * radius * radius
area (Square side) = side * side
area (Rectangle width height) = width * height
area (Group shapes) = sum (map area shapes)
area (Named _ shape) = area shape
{-# NOINLINE area #-}

keyword :: String -> Int
keyword "let" = 1
keyword "where" = 2
keyword "case" = 3
keyword "class" = 4
keyword "instance" = 5
keyword text = length text
{-# NOINLINE keyword #-}

work :: Day -> Int -> Int
work Monday hours = hours
work Tuesday hours = hours + 1
work Wednesday hours = hours * 2
work Thursday hours = hours - 3
work Friday hours = hours `div` 2
work Saturday _ = 0
work Sunday _ = error "rest"
{-# NOINLINE work #-}

primes :: [Int]
primes = sieve [2 ..] where sieve (first : rest) = first : sieve [other | other <- rest, other `mod` first /= 0]

main :: IO ()
main = do
  arguments <- getArgs
  total <- newIORef (0 :: Int)
  let shapes = [Circle 1.5, Named "box" (Square 2), Group [Point, Rectangle 2 3]]
  mapM_ (\shape -> modifyIORef' total (+ size shape)) shapes
  readIORef total >>= print
  printf "%.2f %d %s\n" (area (Group shapes)) (keyword (concat arguments)) (describe shapes)
  print (take 10 primes, sortBy (\left right -> compare right left) (map ord "text"))
  print [work day (length arguments) | day <- [minBound .. Saturday]]
  result <- try (evaluate (work Sunday 1)) :: IO (Either ErrorCall Int)
  print result
