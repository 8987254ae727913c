// What the judge of histories makes of calls on keys.
#include <algorithm>

#include "tests/simulation/recorder.h"

namespace holdfast::sim {

using history::KeyAct;
using history::KeyCompare;
using history::KeyResult;
using history::KeyWrite;
using history::Operation;
using Asked = history::Call;
using Said = history::Answer;

namespace {

uint64_t number(int64_t value) { return static_cast<uint64_t>(value); }

KeyWrite guarded(KeyWrite write, const api::LockGuard& guard) {
  write.guard_path = guard.path;
  write.guard_holder = number(guard.holderId);
  return write;
}

KeyWrite write_of(const api::PutRequest& request) {
  return guarded({.act = KeyAct::kPut,
                  .path = request.path,
                  .value = request.value,
                  .expected_version = request.expectedVersion,
                  .make_parents = request.makeParents},
                 request.guard);
}

KeyWrite write_of(const api::CreateRequest& request) {
  return guarded({.act = KeyAct::kCreate,
                  .path = request.path,
                  .value = request.value,
                  .ephemeral = request.kind == api::KeyKind::EPHEMERAL,
                  .sequential = request.sequential,
                  .container = request.kind == api::KeyKind::CONTAINER,
                  .ttl_ms = request.ttlMs,
                  .make_parents = request.makeParents},
                 request.guard);
}

KeyWrite write_of(const api::RemoveRequest& request) {
  return guarded({.act = KeyAct::kRemove,
                  .path = request.path,
                  .expected_version = request.expectedVersion,
                  .recursive = request.recursive},
                 request.guard);
}

KeyWrite write_of(const api::Operation& step) {
  if (step.__isset.put) return write_of(step.put);
  return step.__isset.create ? write_of(step.create) : write_of(step.remove);
}

std::vector<KeyWrite> writes_of(const std::vector<api::Operation>& steps) {
  std::vector<KeyWrite> writes;
  for (const api::Operation& step : steps) writes.push_back(write_of(step));
  return writes;
}

template <class Request>
Operation single(Asked call, const Request& request) {
  Operation operation{.call = call};
  operation.arguments.writes.push_back(write_of(request));
  return operation;
}

bool is_local(api::Consistency::type consistency) { return consistency == api::Consistency::LOCAL; }

/// Of one key or of several, by their paths.
template <class Request>
Operation reads(Asked call, const Request& request) {
  Operation operation{.call = call};
  operation.arguments.local = is_local(request.consistency);
  operation.arguments.stat_only = request.statOnly;
  return operation;
}

Said written(int64_t revision, std::vector<KeyResult> results) {
  Said answer;
  answer.write_revision = number(revision);
  answer.results = std::move(results);
  return answer;
}

void show(Said& answer, const api::KeyEntry& key) {
  answer.keys.push_back({.path = key.path,
                         .value = key.value,
                         .version = number(key.stat.version),
                         .create_revision = number(key.stat.createRevision),
                         .modify_revision = number(key.stat.modifyRevision),
                         .owner = number(key.stat.ephemeralOwner)});
}

}  // namespace

// ----------------------------------------------------------------------------------- requests

std::optional<Operation> operation_of(const api::PutRequest& request) {
  return single(Asked::kPut, request);
}

std::optional<Operation> operation_of(const api::CreateRequest& request) {
  return single(Asked::kCreate, request);
}

std::optional<Operation> operation_of(const api::RemoveRequest& request) {
  return single(Asked::kRemove, request);
}

std::optional<Operation> operation_of(const api::TransactRequest& request) {
  Operation operation{.call = Asked::kTransact};
  history::Arguments& arguments = operation.arguments;
  for (const api::Compare& each : request.compares) {
    // UNSPECIFIED says the same as EQUAL.
    const auto relation = std::max(each.relation, api::CompareRelation::EQUAL);
    arguments.compares.push_back({.target = static_cast<history::Target>(each.target),
                                  .relation = static_cast<history::Relation>(relation),
                                  .path = each.path,
                                  .number = each.number,
                                  .value = each.value});
  }
  arguments.writes = writes_of(request.thenOperations);
  arguments.otherwise = writes_of(request.otherwiseOperations);
  return operation;
}

std::optional<Operation> operation_of(const api::GetRequest& request) {
  Operation operation = reads(Asked::kGet, request);
  operation.arguments.path = request.path;
  return operation;
}

std::optional<Operation> operation_of(const api::GetManyRequest& request) {
  Operation operation = reads(Asked::kGetMany, request);
  operation.arguments.paths = request.paths;
  return operation;
}

std::optional<Operation> operation_of(const api::ListKeysRequest& request) {
  Operation operation{.call = Asked::kListKeys};
  history::Arguments& arguments = operation.arguments;
  arguments.path = request.path;
  arguments.page = request.page;
  arguments.subtree = request.subtree;
  arguments.local = is_local(request.consistency);
  arguments.stat_only = !request.withValues;
  return operation;
}

/// A local read of a state that is no older than it names.
std::optional<Operation> operation_of(const api::WaitForChangeRequest& request) {
  Operation operation{.call = Asked::kGet};
  operation.arguments.path = request.path;
  operation.arguments.local = true;
  operation.arguments.min_revision = number(request.afterRevision);
  return operation;
}

// ------------------------------------------------------------------------------------ answers

Said answer_of(const api::PutResult& result) {
  return written(result.revision, {{.version = number(result.version)}});
}

Said answer_of(const api::CreateResult& result) {
  return written(result.revision, {{.path = result.path, .version = 1}});
}

Said answer_of(const api::RemoveResult& result) {
  return written(result.revision, {{.removed = number(result.removed)}});
}

Said answer_of(const api::TransactResult& result) {
  std::vector<KeyResult> results;
  for (const api::OperationResult& each : result.results) {
    results.push_back({each.path, number(each.version), number(each.removed)});
  }
  Said answer = written(result.revision, std::move(results));
  answer.succeeded = result.succeeded;
  return answer;
}

Said answer_of(const api::GetResult& result) {
  Said answer;
  if (result.found) show(answer, result.key);
  return answer;
}

Said answer_of(const api::GetManyResult& result) {
  Said answer;
  for (const api::KeyLookup& each : result.keys) {
    if (each.found) show(answer, each.key);
  }
  return answer;
}

Said answer_of(const api::ListKeysResult& result) {
  Said answer;
  for (const api::KeyEntry& each : result.keys) show(answer, each);
  answer.next_page = result.nextPage;
  return answer;
}

Said answer_of(const api::WaitForChangeResult& result) {
  Said answer;
  if (result.found) show(answer, result.key);
  return answer;
}

}  // namespace holdfast::sim
