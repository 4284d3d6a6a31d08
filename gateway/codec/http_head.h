#include "common/http/http_head.h"
