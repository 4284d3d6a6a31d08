#include "common/http/http_reply.h"
