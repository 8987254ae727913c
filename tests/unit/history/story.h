// Short words for histories: each call is one line of a test. Times are given as [invoked,
// returned].
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "tests/history/history.h"

namespace holdfast::history {

/// One call, built up by words.
struct Said {
  Operation op;

  Said at(int64_t invoked, int64_t returned) && {
    op.invoked = invoked;
    op.returned = returned;
    return *this;
  }
  /// Answered; the reply's revision.
  Said rev(uint64_t revision) && {
    op.revision = revision;
    op.answer.known = true;
    return *this;
  }
  Said granted(uint64_t holder, uint64_t token) && {
    op.answer.status = Status::kGranted;
    op.answer.holder_id = holder;
    op.answer.token = token;
    return *this;
  }
  Said waiting(uint64_t holder, uint32_t position) && {
    op.answer.status = Status::kWaiting;
    op.answer.holder_id = holder;
    op.answer.position = position;
    return *this;
  }
  Said refused(Reason reason) && {
    op.answer.status = Status::kNotGranted;
    op.answer.reason = reason;
    return *this;
  }
  Said not_held(uint64_t token, EndReason reason) && {
    op.answer.status = Status::kNotHeld;
    op.answer.token = token;
    op.answer.end_reason = reason;
    return *this;
  }
  Said released(ReleaseStatus status = ReleaseStatus::kReleased) && {
    op.answer.release = status;
    return *this;
  }
  Said error(const std::string& code) && {
    op.answer.error = code;
    op.answer.known = true;
    return *this;
  }
  Said lease(int64_t ms) && {
    op.answer.lease_ms = ms;
    return *this;
  }
  Said current(bool is, uint64_t latest) && {
    op.answer.current = is;
    op.answer.token = latest;
    return *this;
  }
  Said shows(std::vector<Seen> holders, std::vector<Seen> waiters = {},
             std::vector<Seen> tenures = {}) && {
    op.answer.holders = std::move(holders);
    op.answer.waiters = std::move(waiters);
    op.answer.tenures = std::move(tenures);
    return *this;
  }
  Said closed() && {
    op.answer.closed = true;
    return *this;
  }
  Said with(const Arguments& arguments) && {
    op.arguments = arguments;
    return *this;
  }
};

inline Said said(Call call, Arguments arguments) {
  return {
      {.client = "c" + std::to_string(arguments.session), .call = call, .arguments = arguments}};
}

inline Said opens(uint64_t session, const std::string& secret) {
  Said open = said(Call::kOpenSession, {.secret = secret});
  open.op.answer.session = session;
  return open;
}
inline Said renews(uint64_t session) {
  return said(Call::kRenew, {.session = session}).lease(9000);
}
inline Said closes(uint64_t session) { return said(Call::kCloseSession, {.session = session}); }

inline Said acquires(uint64_t session, uint64_t sequence, int64_t wait_ms = -1,
                     Mode mode = Mode::kExclusive) {
  return said(
      Call::kAcquire,
      {.session = session, .sequence = sequence, .path = "/a", .mode = mode, .wait_ms = wait_ms});
}
/// With a lock-delay.
inline Said acquires_delayed(uint64_t session, uint64_t sequence, int64_t delay_ms) {
  Said acquire = acquires(session, sequence);
  acquire.op.arguments.lock_delay_ms = delay_ms;
  return acquire;
}
inline Said takes_permits(uint64_t session, uint64_t sequence, uint32_t permits, uint32_t limit) {
  return said(Call::kAcquire, {.session = session,
                               .sequence = sequence,
                               .path = "/a",
                               .mode = Mode::kSemaphore,
                               .permits = permits,
                               .limit = limit,
                               .wait_ms = -1});
}
inline Said cancels(uint64_t session, uint64_t sequence, uint64_t acquire) {
  return said(
      Call::kCancelAcquire,
      {.session = session, .sequence = sequence, .path = "/a", .acquire_sequence = acquire});
}
inline Said releases(uint64_t session, uint64_t sequence, uint64_t holder, uint64_t to = 0) {
  return said(
      Call::kRelease,
      {.session = session, .sequence = sequence, .path = "/a", .holder_id = holder, .to = to});
}
inline Said sets(uint64_t session, uint64_t sequence, uint64_t holder, const std::string& value) {
  return said(Call::kSetHolderValue, {.session = session,
                                      .sequence = sequence,
                                      .path = "/a",
                                      .value = value,
                                      .holder_id = holder});
}
inline Said revokes(uint64_t holder, bool force) {
  return said(Call::kRevokeLock, {.path = "/a", .holder_id = holder, .force = force});
}
inline Said checks(uint64_t token) {
  return said(Call::kCheckToken, {.path = "/a", .token = token});
}
inline Said describes() { return said(Call::kDescribeLock, {.path = "/a"}); }

inline Said lists(std::vector<Listed> locks) {
  Said list = said(Call::kListLocks, {.path = "/"});
  list.op.answer.locks = std::move(locks);
  return list;
}

inline Verdict judge(std::initializer_list<Said> story, uint64_t budget = kBudgetDefault) {
  History history;
  for (const Said& said : story) {
    const auto fault = history.record(said.op);
    EXPECT_FALSE(fault) << *fault;
  }
  return check(history, budget);
}

}  // namespace holdfast::history
