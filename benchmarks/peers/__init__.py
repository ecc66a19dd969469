"""The same federation by NVFlare's simulator, by stock Flower with Ray, and by ours."""
