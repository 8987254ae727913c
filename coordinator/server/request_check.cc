#include "coordinator/server/request_check.h"

#include <limits>
#include <string>
#include <utility>

#include "coordinator/rsm/path.h"

namespace holdfast::server {
namespace {

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
constexpr size_t kAcknowledgedRangesMax = 1'024;

Refusal refused(ErrorCode code, std::string message) {
  return {code, std::move(message), false, false, 0};
}

}  // namespace

std::optional<Refusal> check_number(std::string_view what, int64_t value, int64_t smallest,
                                    int64_t largest) {
  if (value >= smallest && value <= largest) return std::nullopt;
  return refused(ErrorCode::kBadArgument, std::string(what) + " is " + std::to_string(value) +
                                              ", allowed are " + std::to_string(smallest) + " to " +
                                              std::to_string(largest));
}

// One that ends within a segment is as good as one that ends with it.
std::optional<Refusal> check_prefix(const std::string& prefix) {
  if (prefix.empty() || rsm::check_form(prefix).ok() || rsm::check_form(prefix + "x").ok()) {
    return std::nullopt;
  }
  const Error why = rsm::check_form(prefix + "x").error();
  return refused(why.code,
                 "prefix " + rsm::quote(prefix) + " is the beginning of no path: " + why.message);
}

namespace {

/// Whoever gives a sequence counts on its being applied once, which only a session can see to.
std::optional<Refusal> check_session_fields(const api::RequestContext& context) {
  if (auto bad = check_number("context.sessionId", context.sessionId, 0)) return bad;
  if (auto bad = check_number("context.sequence", context.sequence, 0)) return bad;
  if (context.sequence == 0 || context.sessionId != 0) return std::nullopt;
  return refused(ErrorCode::kBadArgument,
                 "context.sequence is " + std::to_string(context.sequence) +
                     " and context.sessionId 0: only within a session is a call applied once by "
                     "its sequence");
}

}  // namespace

// A wait longer than any server grants is a wait all the same.
std::optional<Refusal> check_context(const api::RequestContext& context, bool opens_session) {
  if (context.trace.size() > kTraceBytesMax) {
    return refused(ErrorCode::kTooLarge,
                   "context.trace has " + std::to_string(context.trace.size()) +
                       " bytes, the limit is " + std::to_string(kTraceBytesMax));
  }
  if (auto bad = check_number("context.deadlineMs", context.deadlineMs, 0, kAny)) return bad;
  if (auto bad = check_number("context.minRevision", context.minRevision, 0)) return bad;
  return opens_session ? std::nullopt : check_session_fields(context);
}

bool may_be_a_copy(const api::RequestContext& context) {
  const auto possible = [](int64_t number) { return number >= 1 && number <= kNumberMax; };
  return possible(context.sessionId) && possible(context.sequence);
}

std::optional<Refusal> check_numbering(const api::RequestContext& context) {
  if (context.sequence < 1 || context.sequence > kNumberMax) {
    return refused(ErrorCode::kBadArgument,
                   "context.sequence is " + std::to_string(context.sequence) +
                       "; a command of a session needs one from 1 to 2^53-1");
  }
  if (context.acknowledged.size() <= kAcknowledgedRangesMax) return std::nullopt;
  return refused(ErrorCode::kBadArgument,
                 "context.acknowledged has " + std::to_string(context.acknowledged.size()) +
                     " ranges, the limit is " + std::to_string(kAcknowledgedRangesMax));
}

std::optional<Refusal> check_request(const api::PollRequest& request) {
  if (auto bad = check_number("pollNumber", request.pollNumber, 0, kAny)) return bad;
  if (auto bad = check_number("maxWaitMs", request.maxWaitMs, 0, kAny)) return bad;
  for (const int64_t notice : request.acknowledgedNotices) {
    if (auto bad = check_number("an acknowledged notice", notice, 1)) return bad;
  }
  return check_number("acknowledgedDelivery", request.acknowledgedDelivery, 0, kAny);
}

}  // namespace holdfast::server
