// What a hand does with keys: writes, whose answers must be those of the log (I17), and reads,
// which must be the state at the revision they name (I20). Watches are in watch_keeper.cc.
#include <algorithm>

#include "tests/simulation/hand.h"
#include "tests/simulation/key_space.h"
#include "tests/simulation/watch_keeper.h"

namespace holdfast::sim {

namespace {

/// So many pages are read of a list at most.
constexpr int kPagesMax = 8;

Sequence sequence_id(int64_t number) { return Sequence(static_cast<uint64_t>(number)); }

}  // namespace

// ------------------------------------------------------------------------------------- writes

/// A key command of the session; `then` runs when its outcome is known.
template <class Request>
void Hand::write_with(const Request& request, std::function<void()> then) {
  tell(sim::describe(op_));
  const int64_t sequence = client_.next_sequence();
  const auto copies = std::make_shared<Copies>();
  client_.command<Request>(
      request, sequence, op_.give_up != 0, copies,
      [this, sequence, copies, then](const Outcome<ResultOf<Request>>& outcome) {
        const SessionId session = client_.session();
        if (outcome.result != nullptr) {
          client_.history().check_reply(session, sequence_id(sequence), *outcome.result);
          client_.ledger().check_write(copies->floor, outcome.result->revision, name_ + "'s write");
        } else if (outcome.error != nullptr) {
          client_.history().check_refusal(session, sequence_id(sequence), *outcome.error);
          mark_refusal(*outcome.error);
        }
        client_.done(sequence);
        then();
      });
}

void Hand::mark_refusal(const api::HoldfastError& error) {
  World& world = client_.world();
  if (error.code == api::ErrorCode::BAD_VERSION) world.mark(Mark::kBadVersion);
  if (error.code == api::ErrorCode::LIMIT_EXCEEDED) world.mark(Mark::kKeyLimit);
}

std::function<void()> Hand::finish_this() {
  return [this, turn = turn_] {
    if (turn == turn_) finish();
  };
}

/// By the lock that was last granted to this client or to another, held still or not.
api::LockGuard Hand::guard() const {
  api::LockGuard guard;
  if (op_.guard == 0) return guard;
  const auto& [path, holder] = op_.guard == 1 ? client_.last_grant() : client_.grant_of(op_.target);
  guard.path = path;
  guard.holderId = holder;
  return guard;
}

int64_t Hand::expected_version(const std::string& path) const {
  if (op_.version == 1) return -1;
  if (op_.version == 0) return 0;
  const auto seen = versions_.find(path);
  return seen == versions_.end() ? 1 : seen->second;
}

api::PutRequest Hand::put_request(const std::string& path) const {
  api::PutRequest request;
  request.path = path;
  request.value.assign(static_cast<size_t>(op_.value), static_cast<char>('a' + turn_ % 26));
  request.makeParents = op_.parents != 0;
  return request;
}

void Hand::put() {
  api::PutRequest request = put_request(key_path(op_.path));
  request.expectedVersion = expected_version(request.path);
  request.guard = guard();
  write_with(request, finish_this());
}

/// While a lock is held: only as long as that is so.
void Hand::put_guarded() {
  api::PutRequest request = put_request(key_path(op_.path));
  request.makeParents = true;
  request.guard.path = claims_.front().path;
  request.guard.holderId = static_cast<int64_t>(holder_.value);
  write_with(request, [] {});
}

api::CreateRequest Hand::create_request(const std::string& path) const {
  api::CreateRequest request;
  request.path = path;
  request.value.assign(static_cast<size_t>(op_.value), 'c');
  request.kind = static_cast<api::KeyKind::type>(op_.key_kind);
  request.sequential = op_.sequential != 0;
  request.makeParents = op_.parents != 0;
  if (request.kind == api::KeyKind::TTL) request.ttlMs = op_.ttl_ms;
  return request;
}

void Hand::create() {
  api::CreateRequest request = create_request(key_path(op_.path));
  request.guard = guard();
  write_with(request, finish_this());
}

void Hand::remove() {
  api::RemoveRequest request;
  request.path = key_path(op_.path);
  request.recursive = op_.recursive != 0;
  request.guard = guard();
  if (op_.version == 2) request.expectedVersion = expected_version(request.path);
  write_with(request, finish_this());
}

api::Compare Hand::condition() const {
  api::Compare compare;
  compare.path = key_path(op_.path);
  switch (op_.scope) {
    case 1:
      compare.target = api::CompareTarget::EXISTS;
      compare.number = op_.recursive;
      break;
    case 2:
      compare.target = api::CompareTarget::VERSION;
      compare.number = std::max<int64_t>(0, expected_version(compare.path));
      break;
    default:
      compare.target = api::CompareTarget::MODIFY_REVISION;
      compare.relation = api::CompareRelation::LESS;
      compare.number = client_.last_revision();
  }
  if (op_.guard == 0) return compare;
  const api::LockGuard lock = guard();
  if (lock.holderId == 0) return compare;
  compare.target = api::CompareTarget::HOLDS;
  compare.relation = api::CompareRelation::EQUAL;
  compare.path = lock.path;
  compare.number = lock.holderId;
  return compare;
}

/// Steps by the bits of `mask`: two of them touch one key, and one may not be possible.
void Hand::transact() {
  const std::string path = key_path(op_.path);
  const std::string other = key_path(op_.path + 1 + op_.permits);
  api::TransactRequest request;
  request.compares.push_back(condition());
  const auto add = [](std::vector<api::Operation>& list) -> api::Operation& {
    return list.emplace_back();
  };
  auto& steps = request.thenOperations;
  if ((op_.mask & 1) != 0) add(steps).__set_put(put_request(path));
  if ((op_.mask & 2) != 0) add(steps).__set_create(create_request(path + "/t"));
  if ((op_.mask & 4) != 0) {
    api::RemoveRequest remove;
    remove.path = other;
    remove.recursive = true;
    add(steps).__set_remove(remove);
  }
  if ((op_.mask & 8) != 0) add(steps).__set_put(put_request(path));
  if ((op_.mask & 16) != 0) add(request.otherwiseOperations).__set_put(put_request(other));
  write_with(request, finish_this());
}

// -------------------------------------------------------------------------------------- reads

void Hand::get() {
  api::GetRequest request;
  request.path = key_path(op_.path);
  request.consistency = consistency();
  SimNode& node = client_.pick();
  const int64_t floor = read_floor();
  const bool ahead = op_.local != 0 && node.up() && !node.has_applied(floor);
  client_.ask_at<api::GetRequest>(
      node, request, read_context(), 3s,
      [this, request, floor, ahead](const Outcome<api::GetResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        const api::GetResult& result = *outcome.result;
        if (ahead) client_.world().mark(Mark::kKeyReadParked);
        client_.ledger().check_read(floor, result.header.revision, name_ + "'s get");
        client_.note(result.header);
        client_.history().keys().judge_read(name_, request.path, result.found, result.key,
                                            result.header.revision);
        versions_[request.path] = result.found ? result.key.stat.version : 1;
        finish();
      });
}

api::Consistency::type Hand::consistency() const {
  return op_.local != 0 ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
}

void Hand::list_keys() {
  pages_ = 0;
  list_page({}, 0);
}

void Hand::list_page(const std::string& page, int64_t before) {
  api::ListKeysRequest request;
  request.path = op_.parents != 0 ? "/" : key_path(op_.path);
  request.subtree = op_.recursive != 0;
  request.withValues = true;
  request.page = page;
  request.pageSize = static_cast<int32_t>(op_.page);
  request.consistency = consistency();
  client_.ask<api::ListKeysRequest>(
      request, read_context(), 3s,
      [this, request, before, floor = read_floor()](const Outcome<api::ListKeysResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        const api::ListKeysResult& result = *outcome.result;
        client_.ledger().check_read(floor, result.header.revision, name_ + "'s page");
        client_.note(result.header);
        judge_page(request, result);
        const auto changes = client_.history().keys().after(before);
        const bool changed =
            before != 0 && !changes.empty() && changes.front().revision <= result.header.revision;
        if (changed) client_.world().mark(Mark::kPagesOverChange);
        if (result.nextPage.empty() || ++pages_ == kPagesMax) return finish();
        list_page(result.nextPage, result.header.revision);
      });
}

/// The next so many keys after the last page, whatever has become of that.
void Hand::judge_page(const api::ListKeysRequest& request,
                      const api::ListKeysResult& result) const {
  const KeyHistory& keys = client_.history().keys();
  const int64_t revision = result.header.revision;
  std::vector<std::string> expected = keys.below(request.path, !request.subtree, revision);
  std::erase_if(expected, [&](const std::string& path) {
    return !request.page.empty() && !TreeOrder()(request.page, path);
  });
  const size_t size = std::min(expected.size(), static_cast<size_t>(request.pageSize));
  const bool more = size < expected.size();
  const auto refuse = [&](const std::string& what) {
    throw Broken(Rule::kI20, name_ + " was given a page of the keys below " + request.path +
                                 " at revision " + std::to_string(revision) + " " + what);
  };
  if (result.keys.size() != size) refuse("with too few or too many keys");
  for (size_t i = 0; i < size; ++i) {
    keys.judge_read(name_, expected[i], true, result.keys[i], revision);
  }
  if (result.nextPage != (more ? expected[size - 1] : "")) refuse("with a wrong next page");
}

/// Repeated until a server says that it changed, or did not for so long.
void Hand::await_change(int64_t after, Duration end) {
  api::WaitForChangeRequest request;
  request.path = key_path(op_.path);
  request.afterRevision = after;
  request.maxWaitMs = std::max<int64_t>(0, to_ms(end - client_.world().now()));
  if (client_.quiescent()) request.maxWaitMs = 0;
  SimNode& node = client_.pick();
  const bool up = node.up();
  const Term term = up ? node.core().term() : Term{};
  client_.ask_at<api::WaitForChangeRequest>(
      node, request, {}, from_ms(request.maxWaitMs) + 2s,
      [this, request, end, up, term, life = node.life(), &node,
       turn = turn_](const Outcome<api::WaitForChangeResult>& outcome) {
        if (turn != turn_) return;
        if (outcome.result == nullptr) {
          return client_.later(20ms, [this, request, end, turn] {
            if (turn == turn_) await_change(request.afterRevision, end);
          });
        }
        const bool over = up && node.up() && node.life() == life && node.core().term() > term;
        if (over) client_.world().mark(Mark::kAwaitFailover);
        judge_wait(request, *outcome.result);
        finish();
      });
}

void Hand::judge_wait(const api::WaitForChangeRequest& request,
                      const api::WaitForChangeResult& result) const {
  const int64_t revision = result.header.revision;
  const KeyHistory& keys = client_.history().keys();
  client_.ledger().check_read(request.afterRevision, revision, name_ + "'s wait");
  client_.note(result.header);
  keys.judge_read(name_, request.path, result.found, result.key, revision);
  if (result.changed) return;
  for (const KeyHistory::Entry& entry : keys.after(request.afterRevision)) {
    if (entry.revision > revision) return;
    for (const api::WatchEvent& event : entry.events) {
      const bool key = event.eventType < api::EventType::LOCK_GRANTED;
      if (!key || event.path != request.path) continue;
      throw Broken(Rule::kI20, name_ + " was told that " + request.path + " did not change from " +
                                   std::to_string(request.afterRevision) + " to " +
                                   std::to_string(revision) + "; it did at " +
                                   std::to_string(entry.revision));
    }
  }
}

// ------------------------------------------------------------------------------------ watches

/// The watch lives on beside the hand; it may rest in between, as if nobody read it.
void Hand::watch() {
  WatchSpec spec;
  spec.path = watched_path(op_.path);
  spec.scope = static_cast<api::WatchScope::type>(op_.scope);
  spec.space = static_cast<api::WatchSpace::type>(op_.space);
  spec.values = op_.value != 0;
  for (int type = 1; type <= 5; ++type) {
    const bool wanted = (op_.filter >> type & 1) != 0;
    if (wanted) spec.filter.push_back(static_cast<api::EventType::type>(type));
  }
  const int64_t last = client_.last_revision();
  const int64_t since[] = {0, last, last / 2, last + 3};
  WatchKeeper& watches = client_.watches();
  const int watch = watches.begin(spec, since[op_.since]);
  if (watch == 0) return finish();
  tell(sim::describe(op_));
  if (op_.rest_ms > 0) {
    client_.later(from_ms(op_.hold_ms / 3), [&watches, watch] { watches.rest(watch); });
    client_.later(from_ms(op_.hold_ms / 3 + op_.rest_ms),
                  [&watches, watch] { watches.wake(watch); });
  }
  client_.later(from_ms(op_.hold_ms), [&watches, watch] { watches.end(watch); });
  finish();
}

}  // namespace holdfast::sim
