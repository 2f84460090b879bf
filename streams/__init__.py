"""The Faust stream: validate, locate, identify the device, route. Only this room knows Faust."""
