"""The API described: an OpenAPI 3.1 document, and a page to read it. Both are public; neither shows any data."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView


class OpenApiDocument(SpectacularJSONAPIView):
    """`/api/v1/openapi.json`, made from the code that answers."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = []


# The library sets sizes through style attributes, so this page alone may use inline styles; scripts stay files.
@method_decorator(csp_update({"style-src": ["'unsafe-inline'"]}), name="dispatch")
class ApiReference(SpectacularSwaggerSplitView):
    """The reference page, served from this installation."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = []
    url_name = "openapi"
    url_self = "/api/docs/"
