#include "clients/cli/tenure_words.h"

namespace holdfast::cli {

const char* end_reason_words(api::EndReason::type reason) {
  switch (reason) {
    case api::EndReason::RELEASED:
      return "released";
    case api::EndReason::SESSION_CLOSED:
      return "session closed";
    case api::EndReason::SESSION_EXPIRED:
      return "session expired";
    case api::EndReason::REVOKED:
      return "revoked";
    case api::EndReason::HANDED_OVER:
      return "handed over";
    case api::EndReason::SESSION_REVOKED:
      return "session ended by an operator";
    case api::EndReason::RESTORED:
      return "cluster restored";
    default:
      return "unknown";
  }
}

}  // namespace holdfast::cli
