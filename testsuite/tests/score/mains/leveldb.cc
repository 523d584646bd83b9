// Writes, reads and compacts a database.
#include <iostream>

#include "leveldb/cache.h"
#include "leveldb/db.h"
#include "leveldb/filter_policy.h"
#include "leveldb/write_batch.h"

int main(int count, char **words) {
  leveldb::Options options;
  options.create_if_missing = count > 1;
  options.filter_policy = leveldb::NewBloomFilterPolicy(10);
  options.block_cache = leveldb::NewLRUCache(1 << 20);
  leveldb::DB *database = nullptr;
  leveldb::Status status = leveldb::DB::Open(options, words[0], &database);
  if (!status.ok()) status = leveldb::RepairDB(words[0], options);
  if (!status.ok()) {
    std::cerr << status.ToString() << "\n";
    return 1;
  }
  std::string value;
  leveldb::WriteBatch batch;
  for (int i = 0; i < count; i++) batch.Put(words[i], words[count - 1 - i]);
  database->Write(leveldb::WriteOptions(), &batch);
  database->Get(leveldb::ReadOptions(), words[0], &value);
  database->CompactRange(nullptr, nullptr);
  delete database;
  return value.empty();
}
