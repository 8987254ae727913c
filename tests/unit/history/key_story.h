// Short words for histories of keys, as story.h has them for locks.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/history/story.h"

namespace holdfast::history {

inline Said writes(Call call, uint64_t session, uint64_t sequence, std::vector<KeyWrite> list) {
  Said write = said(call, {.session = session, .sequence = sequence});
  write.op.arguments.writes = std::move(list);
  return write;
}
inline Said puts(uint64_t session, uint64_t sequence, const std::string& value,
                 int64_t expected = 0, const std::string& path = "/k") {
  return writes(Call::kPut, session, sequence,
                {{.path = path, .value = value, .expected_version = expected}});
}
inline Said guarded(uint64_t session, uint64_t sequence, const std::string& value,
                    uint64_t holder) {
  return writes(Call::kPut, session, sequence,
                {{.path = "/k", .value = value, .guard_path = "/a", .guard_holder = holder}});
}
inline Said creates(uint64_t session, uint64_t sequence, const std::string& path,
                    bool ephemeral = false, bool sequential = false) {
  return writes(Call::kCreate, session, sequence,
                {{.act = KeyAct::kCreate,
                  .path = path,
                  .value = "made",
                  .ephemeral = ephemeral,
                  .sequential = sequential}});
}
inline Said removes(uint64_t session, uint64_t sequence, int64_t expected = 0,
                    bool recursive = false) {
  return writes(Call::kRemove, session, sequence,
                {{.act = KeyAct::kRemove,
                  .path = "/k",
                  .expected_version = expected,
                  .recursive = recursive}});
}
inline Said transacts(uint64_t session, uint64_t sequence, std::vector<KeyCompare> compares,
                      std::vector<KeyWrite> list, std::vector<KeyWrite> otherwise = {}) {
  Said transaction = writes(Call::kTransact, session, sequence, std::move(list));
  transaction.op.arguments.compares = std::move(compares);
  transaction.op.arguments.otherwise = std::move(otherwise);
  return transaction;
}
inline Said gets(const std::string& path = "/k") { return said(Call::kGet, {.path = path}); }
inline Said list_keys(const std::string& path) { return said(Call::kListKeys, {.path = path}); }

/// Answered by the entry `revision`, with a result for each step.
inline Said wrote(Said said, uint64_t revision, std::vector<KeyResult> results) {
  said.op.answer.write_revision = revision;
  said.op.answer.results = std::move(results);
  return std::move(said).rev(revision);
}
/// A put answered with the version that it made.
inline Said made(Said said, uint64_t revision, uint64_t version) {
  return wrote(std::move(said), revision, {{.version = version}});
}
inline Said created(Said said, uint64_t revision, const std::string& path) {
  return wrote(std::move(said), revision, {{.path = path, .version = 1}});
}
inline Said removed(Said said, uint64_t revision, uint64_t count = 1) {
  return wrote(std::move(said), revision, {{.removed = count}});
}
inline Said failed(Said said, uint64_t revision, std::vector<KeyResult> results = {}) {
  said.op.answer.succeeded = false;
  return wrote(std::move(said), revision, std::move(results));
}
/// A read at a revision, and the keys that it shows.
inline Said shows(Said said, uint64_t revision, std::vector<SeenKey> keys) {
  said.op.answer.keys = std::move(keys);
  return std::move(said).rev(revision);
}
inline SeenKey key(const std::string& value, uint64_t version, uint64_t created_at,
                   uint64_t written_at, const std::string& path = "/k", uint64_t owner = 0) {
  return {path, value, version, created_at, written_at, owner};
}

}  // namespace holdfast::history
