#include "coordinator/server/engine_stats.h"

namespace holdfast::server {

void StateStats::count(const rsm::Effect& effect) {
  const auto reason = static_cast<size_t>(effect.end_reason);
  switch (effect.kind) {
    case rsm::EffectKind::kSessionOpened:
      ++sessions_opened;
      break;
    case rsm::EffectKind::kSessionEnded:
      ++sessions_ended[reason];
      break;
    case rsm::EffectKind::kLateMarked:
      ++late_marks;
      break;
    case rsm::EffectKind::kGranted:
      ++grants;
      break;
    case rsm::EffectKind::kTenureEnded:
      ++tenures_ended[reason];
      break;
    case rsm::EffectKind::kWaitEnded:
      ++waits_ended;
      break;
    case rsm::EffectKind::kRevocationAnnounced:
      ++revocations;
      break;
    default:
      break;
  }
}

}  // namespace holdfast::server
