// Which rare states an entry of the history is.
#include <algorithm>

#include "lockmgr/lock_table.h"
#include "tests/simulation/history.h"

namespace holdfast::sim {

using command::CommandKind;
using lockmgr::EndReason;
using lockmgr::RefusalReason;
using rsm::EffectKind;

namespace {

std::optional<Mark> mark_of(const rsm::Effect& effect) {
  switch (effect.kind) {
    case EffectKind::kSessionEnded:
      if (effect.end_reason == EndReason::kSessionExpired) return Mark::kSessionExpired;
      if (effect.end_reason == EndReason::kSessionRevoked) return Mark::kSessionRevoked;
      return std::nullopt;
    case EffectKind::kLateMarked:
      return Mark::kLateMarked;
    case EffectKind::kLateRenewed:
      return Mark::kLateRenewed;
    case EffectKind::kWaitEnded:
      switch (static_cast<RefusalReason>(effect.result.reason)) {
        case RefusalReason::kTimedOut:
          return Mark::kTimedOut;
        case RefusalReason::kCancelled:
          return Mark::kCancelled;
        case RefusalReason::kQueueFull:
          return Mark::kQueueFull;
        default:
          return std::nullopt;
      }
    default:
      return std::nullopt;
  }
}

std::optional<Mark> mark_of_release(uint8_t status) {
  switch (static_cast<lockmgr::ReleaseStatus>(status)) {
    case lockmgr::ReleaseStatus::kTargetGone:
      return Mark::kTargetGone;
    case lockmgr::ReleaseStatus::kTargetBlocked:
      return Mark::kTargetBlocked;
    default:
      return std::nullopt;
  }
}

}  // namespace

void History::mark(const Applied& applied) {
  size_t granted = 0;
  std::set<Revision> holders;
  bool closed_with_places = false;
  for (const rsm::Effect& effect : effects_) {
    if (const auto met = mark_of(effect)) world_.mark(*met);
    const bool late_grant = effect.kind == EffectKind::kGranted && effect.holder_id != effect.token;
    if (late_grant) {
      ++granted;
      holders.insert(effect.holder_id);
    }
    if (effect.kind == EffectKind::kTenureEnded) {
      closed_with_places |= effect.end_reason == EndReason::kSessionClosed;
      if (effect.end_reason == EndReason::kRevoked && !applied.forced) {
        world_.mark(header_.kind == CommandKind::TICK ? Mark::kRevokedByTtl
                                                      : Mark::kRevokedByNotice);
      }
    }
    if (late_grant && effect.holder_id == applied.handed_to) world_.mark(Mark::kHandedOver);
  }
  if (closed_with_places) world_.mark(Mark::kClosed);
  if (granted > 1) world_.mark(holders.size() == 1 ? Mark::kAllGranted : Mark::kSharedRun);
  if (locks_.head_blocks_smaller()) world_.mark(Mark::kHeadBlocksSmaller);
  const rsm::CommandResult& result = applied.reply->result;
  if (header_.kind == CommandKind::RELEASE && result.code == ErrorCode::kOk) {
    if (const auto met = mark_of_release(result.status)) world_.mark(*met);
  }
  if (header_.kind == CommandKind::CANCEL_ACQUIRE &&
      result.status == static_cast<uint8_t>(rsm::AcquireStatus::kGranted)) {
    world_.mark(Mark::kTimeoutMetGrant);
  }
}

}  // namespace holdfast::sim
